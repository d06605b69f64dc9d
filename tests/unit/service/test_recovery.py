"""What a new daemon does about each run is decided from facts alone."""

from dataclasses import replace
from uuid import UUID

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.service.recovery import (
    UNKNOWN,
    Action,
    Adopt,
    Conclude,
    Destroy,
    Facts,
    Finish,
    Forget,
    Guest,
    Stray,
    Undo,
    decide,
    said,
)
from insula.service.running import Next, Phase, Record, StopReason, ending

WEB, MAIL = UUID(int=1), UUID(int=2)
RUNNING = Record(uuid=WEB, name="web", boot_id="now", phase=Phase.RUNNING, begun=0, container={"pid": 1})
STARTING = replace(RUNNING, phase=Phase.STARTING, container=None)
AUTODESTROY = replace(RUNNING, autodestroy=True)
ENDING = ending(RUNNING, StopReason.CRASHED, status=256, then=Next.RESTART)
FORMER_BOOT = replace(RUNNING, boot_id="before")
CRASHED = ExitStatus(status=139)


def facts(guest: Guest | None) -> Facts:
    return Facts(boot_id="now", guests={} if guest is None else {WEB: guest})


@pytest.mark.parametrize(
    ("record", "guest", "action"),
    [
        (RUNNING, Guest(status=None), Adopt(record=RUNNING)),
        (RUNNING, Guest(status=CRASHED), Finish(record=RUNNING, status=CRASHED)),
        (RUNNING, None, Finish(record=RUNNING, status=UNKNOWN)),
        (AUTODESTROY, Guest(status=None), Destroy(record=AUTODESTROY)),
        (AUTODESTROY, Guest(status=CRASHED), Finish(record=AUTODESTROY, status=CRASHED)),
        (STARTING, None, Undo(record=STARTING)),
        (STARTING, Guest(status=None), Undo(record=STARTING)),
        (ENDING, None, Conclude(record=ENDING)),
        (ENDING, Guest(status=None), Conclude(record=ENDING)),
        (FORMER_BOOT, None, Forget(record=FORMER_BOOT)),
        (FORMER_BOOT, Guest(status=None), Forget(record=FORMER_BOOT)),
    ],
)
def test_each_run_gets_the_action_that_its_record_and_the_kernel_ask_for(
    record: Record, guest: Guest | None, action: Action
) -> None:
    assert decide([record], frozenset(), facts(guest)) == [action]


def test_a_guest_that_no_record_tells_of_is_a_stray() -> None:
    known = Facts(boot_id="now", guests={WEB: Guest(status=None)}, held=frozenset({WEB, MAIL}))

    assert decide([RUNNING], frozenset(), known) == [Adopt(record=RUNNING), Stray(uuid=MAIL)]


def test_a_guest_whose_record_cannot_be_read_is_left_alone() -> None:
    known = Facts(boot_id="now", guests={}, held=frozenset({MAIL}))

    assert decide([], frozenset({MAIL}), known) == []


def test_an_action_is_said_in_few_words() -> None:
    assert said(Adopt(record=RUNNING)) == f"adopt 'web' ({WEB})"
    assert said(Stray(uuid=MAIL)) == f"stray {MAIL}"
