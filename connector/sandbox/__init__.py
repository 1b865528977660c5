"""A HubSpot and a Salesforce to try the connector on: real HTTP servers on loopback, filled with made-up people.

Nothing in this room is needed by a connector that talks to real CRMs; it is imported only by `connector demo`,
`connector sandbox`, the tests and the benchmarks.
"""
