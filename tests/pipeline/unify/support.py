"""A small file of rules for the tests of unify that need no company."""

RULES = """
mode = "live"
timezone = "UTC"
[database]
url = "sqlite:///never.db"
[crm.hubspot]
access_token = "env:RULES_TOKEN"
[[stages]]
name = "lead"
hubspot = "lead"
[[stages]]
name = "mql"
hubspot = "mql"
salesforce = { lead_status = "Open" }
[[stages]]
name = "sql"
hubspot = "sql"
salesforce = { lead_status = "Qualified" }
[[transition]]
name = "qualify"
from = ["lead"]
to = "mql"
when = "touch_count > 1"
"""
