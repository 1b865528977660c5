"""A HubSpot on loopback: accounts, objects, search, associations, limits and errors as the vendor documents them."""
