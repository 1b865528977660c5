"""The port's contract on writing: values are set, tasks are created once, whatever becomes of the answers."""

from __future__ import annotations

import pytest

from connector.model import WriteState
from tests.contract.reading import field_writes, some, task_write
from tests.contract.subjects import Subject


class TestWriting:
    def test_values_are_written(self, subject: Subject) -> None:
        ids = some(subject, 7)
        outcomes = subject.crm.update(subject.people, field_writes(subject, ids, "Geschrieben"))
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 7
        assert {subject.value(one) for one in ids} == {"Geschrieben"}
        assert subject.crm.batch_size(subject.people) >= 100

    def test_of_a_batch_one_is_refused(self, subject: Subject) -> None:
        ids = some(subject, 4)
        subject.delete(subject.people, ids[2])
        outcomes = subject.crm.update(subject.people, field_writes(subject, ids, "Drei von vier"))
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.WRITTEN, WriteState.REFUSED, WriteState.WRITTEN]
        assert [subject.value(one) for one in (*ids[:2], ids[3])] == ["Drei von vier"] * 3
        assert outcomes[2].message

    @pytest.mark.parametrize("kind", ["before", "after", "limit", "locked"])
    def test_a_value_is_written_whatever_the_answers(self, subject: Subject, kind: str) -> None:
        ids = some(subject, 3)
        subject.fail_writing(kind)
        for _ in range(6):
            writes = [write for write in field_writes(subject, ids, kind) if subject.value(write.record.id) != kind]
            if not writes:
                break
            for outcome, write in zip(subject.crm.update(subject.people, writes), writes, strict=True):
                assert outcome.state in (WriteState.WRITTEN, WriteState.LATER, WriteState.UNKNOWN)
                if outcome.state is WriteState.WRITTEN:
                    assert subject.value(write.record.id) == kind
                if outcome.state is WriteState.LATER:
                    assert subject.value(write.record.id) != kind
        assert [subject.value(one) for one in ids] == [kind] * 3

    @pytest.mark.parametrize("kind", ["none", "before", "after", "limit", "locked"])
    def test_a_task_is_never_doubled(self, subject: Subject, kind: str) -> None:
        """As the executor goes about it: what is unknown is looked up before it is sent again."""
        keys = [f"{subject.name} {kind} {number} {subject.now}" for number in range(3)]
        writes = [task_write(subject, one, key) for one, key in zip(some(subject, 3), keys, strict=True)]
        if kind != "none":
            subject.fail_writing(kind)
        left, ids = list(writes), dict[str, str]()
        for _ in range(6):
            if not left:
                break
            outcomes = subject.crm.create_tasks(left)
            ids |= {write.key: one.id for write, one in zip(left, outcomes, strict=True) if one.state is WriteState.WRITTEN}
            assert not [one for one in outcomes if one.state is WriteState.REFUSED]
            doubtful = [write for write, one in zip(left, outcomes, strict=True) if one.state is WriteState.UNKNOWN]
            subject.later()
            ids |= subject.crm.find_tasks(doubtful) if doubtful else {}
            left = [write for write in left if write.key not in ids]
        assert [subject.tasks_with(key) for key in keys] == [1, 1, 1]
        assert subject.crm.find_tasks(writes) == ids
        read_back = subject.crm.read_tasks([*ids.values(), "1" if subject.crm.name == "hubspot" else "00T000000000999AAA"])
        assert set(read_back) == set(ids.values())
        assert {ids[write.key]: (True, write.task.subject, write.record.id) for write in writes} == {
            one: (bool(told["key"]), told["subject"], told["record_id"]) for one, told in read_back.items()
        }

    def test_a_task_on_what_is_gone_is_refused(self, subject: Subject) -> None:
        one, gone = some(subject, 2)
        subject.delete(subject.people, gone)
        key = f"{subject.name} gone {subject.now}"
        outcomes = subject.crm.create_tasks([task_write(subject, one, f"{key} 1"), task_write(subject, gone, f"{key} 2")])
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.REFUSED]
        assert [subject.tasks_with(f"{key} {number}") for number in (1, 2)] == [1, 0]
