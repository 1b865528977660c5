"""HubSpot: the adapter, and the mark by which its tasks are found again."""

from connector.adapters.hubspot.adapter import HubSpotCrm
from connector.adapters.hubspot.wire.requests import task_marker

__all__ = ["HubSpotCrm", "task_marker"]
