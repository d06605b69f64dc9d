"""The record of a run is read back as it was written, also by the daemon of another release."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from insula.service.runrecord import LaterFormatError, Next, RunPhase, RunRecord, StopReason, ending

RECORDED = RunRecord(
    uuid=UUID(int=1),
    name="web",
    boot_id="b",
    phase=RunPhase.RUNNING,
    begun=12.5,
    asked=StopReason.REBOOTED,
    container={"pid": 4711, "cgroup": "machine.slice/x"},
    autodestroy=True,
    resumed=True,
)


def test_a_record_of_an_earlier_release_is_of_a_run_that_was_never_paused() -> None:
    text = RECORDED.to_json().replace('"resumed": true, ', "")
    assert RunRecord.from_json(text) == replace(RECORDED, resumed=False)


def test_a_record_of_an_earlier_version_is_read_by_its_names() -> None:
    values = json.loads(RECORDED.to_json())
    values["note"] = values.pop("intent")
    values["throwaway"] = True
    del values["ephemeral"]
    assert RunRecord.from_json(json.dumps(values)) == replace(RECORDED, ephemeral=True)


def test_a_record_of_a_later_format_is_named_as_one() -> None:
    text = RECORDED.to_json().replace('"format": 1', '"format": 2')
    with pytest.raises(LaterFormatError, match="its format is 2"):
        RunRecord.from_json(text)


def test_an_end_is_decided_about_the_run_as_it_was() -> None:
    over = ending(RECORDED, StopReason.CRASHED, status=139, then=Next.RESTART)
    assert replace(over, phase=RunPhase.RUNNING, reason=None, status=None, next=Next.OFF) == RECORDED
    assert RunRecord.from_json(over.to_json()) == over
