"""A testing package, not a CRM to connect: a HubSpot or Salesforce in memory, for tests of everything above the port.

Nothing of the product imports it; the contract's tests hold it to what the real ones do.
"""
