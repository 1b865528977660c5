"""Salesforce behind the port: `SalesforceCrm`, and the mark by which its tasks are found again.

`adapter` puts the parts together, `client` is what they ask through (`transport` sends, `login` signs), and each has a part of the port:
`pull` (`streams`, `position`, `bulk_pull`, `shared_activities`, `pages`), `refill`, `read_by_id`, `activities_of_people`,
`removals`, `write`, `tasks`, `schema`, `surroundings`, `check`.

`wire` holds the vendor's facts, without I/O: requests out, answers → values or typed errors.
"""

from connector.adapters.salesforce.adapter import SalesforceCrm
from connector.adapters.salesforce.wire.tasks import task_marker

__all__ = ["SalesforceCrm", "task_marker"]
