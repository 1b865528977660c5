"""HubSpot behind the port: `HubSpotCrm`, and the mark by which its tasks are found again.

`adapter` puts the parts together, `client` is what they ask through (`transport` sends, `login` signs), and each has a part of the port:
`pull` (`first_read`, `incremental`, `associations`, `pages`), `refill`, `read_by_id`, `activities_of_people`,
`removals`, `write`, `tasks`, `schema`, `surroundings`, `check`.

`wire` holds the vendor's facts, without I/O: requests out, answers → values or typed errors.
"""

from connector.adapters.hubspot.adapter import HubSpotCrm
from connector.adapters.hubspot.wire.requests import task_marker

__all__ = ["HubSpotCrm", "task_marker"]
