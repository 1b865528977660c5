"""A Salesforce on loopback: an org, queries, bulk jobs, writes, deleted rows and errors as the vendor documents them."""
