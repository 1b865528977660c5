"""Creating tasks, and finding and reading back those that an earlier try may have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connector.adapters.hubspot.associations import read_all_links
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.activities import read_task_back
from connector.adapters.hubspot.wire.requests import TASK_READ_BACK, find_marker, task_marker
from connector.adapters.hubspot.wire.values import properties_of, text_of
from connector.adapters.hubspot.wire.writes import create_outcome, task_rows
from connector.adapters.hubspot.write import BatchSender
from connector.adapters.set_aside import Unreadable
from connector.model import TaskReadBack, TaskWrite, WriteOutcome


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks by the mark in their bodies (`task_marker`)."""

    client: HubSpotClient

    def create(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates tasks, at most a batch; one outcome a write, in order."""
        batch = BatchSender(
            caller=self.client.caller("urgent"),
            build=lambda rows: self.client.api.batch_create("tasks", [row.input for row in rows]),
            settle=create_outcome,
            creating=True,
        )
        outcomes = batch.send(task_rows(writes))
        return [outcomes[number] for number in range(len(writes))]

    def find(self, writes: Sequence[TaskWrite]) -> dict[str, str]:
        """Key → id of the tasks that exist, looked for among the tasks of the records they were made for; of two the elder."""
        api, caller = self.client.api, self.client.caller("urgent")
        keys = {task_marker(write.key): write.key for write in writes}
        ids: list[str] = []
        for object_name in sorted({write.record.object for write in writes}):
            of_object = [write.record.id for write in writes if write.record.object == object_name]
            links = read_all_links(api, caller, object_name, "tasks", of_object)
            ids += [task for record in of_object for task in links.ids(record)]
        found: dict[str, str] = {}
        for task, raw in read_raw(api, caller, "tasks", ids, ["hs_task_body"]).items():
            key = keys.get(_marker_of(raw))
            if key is not None and (key not in found or int(task) < int(found[key])):
                found[key] = task
        return found

    def read_back(self, ids: Sequence[str]) -> dict[str, TaskReadBack]:
        """Tasks by id, as `port.Writes.read_tasks` says; one that cannot be read is left out."""
        api, caller = self.client.api, self.client.caller("urgent")
        raws = read_raw(api, caller, "tasks", ids, TASK_READ_BACK)
        links = read_all_links(api, caller, "tasks", "contacts", list(raws))
        tasks: dict[str, TaskReadBack] = {}
        for task, raw in raws.items():
            try:
                tasks[task] = read_task_back(raw, links.ids(task))
            except Unreadable:
                continue
        return tasks


def _marker_of(raw: Any) -> str:
    try:
        return find_marker(text_of(properties_of(raw), "hs_task_body") or "")
    except Unreadable:  # somebody else's task: ours hold nothing that cannot be read
        return ""
