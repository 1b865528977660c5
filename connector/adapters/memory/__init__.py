"""A testing package: a CRM in dictionaries behind the same port as the real ones. Nothing in the product imports it."""
