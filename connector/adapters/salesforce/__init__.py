"""Salesforce behind the port: `SalesforceCrm` is the door.

`wire*` know Salesforce's words (requests out, answers → values or typed errors) and do no I/O; `session` logs in and sends; `streams` says
what is pulled, `pull` reads one stream page by page, by REST or with `bulk` by a job; `check` looks the org over; `adapter` puts
them together.
"""

from connector.adapters.salesforce.adapter import SalesforceCrm
from connector.adapters.salesforce.wire.tasks import task_marker

__all__ = ["SalesforceCrm", "task_marker"]
