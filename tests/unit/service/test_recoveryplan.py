"""What a new daemon does about each run is decided from facts alone."""

from dataclasses import replace
from uuid import UUID

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.keeper.held import StartPhase
from insula.engine.launch.holdings import Remains
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.launch.succession import Held
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.service.recoveryplan import (
    Action,
    Adopt,
    Conclude,
    Destroy,
    Discover,
    Drop,
    Evidence,
    Forget,
    Reset,
    Undo,
    decide,
    is_outdated,
    said,
)
from insula.service.runrecord import Next, RunPhase, RunRecord, StopReason, ending

WEB, MAIL = UUID(int=1), UUID(int=2)
SPEC = ContainerSpec(name="web", uuid=str(WEB), root=DirectoryRoot(path="/srv"))
LABEL = ContainerRecord(spec=SPEC, id=1, pid=1, born=1, boot="now", group="g", launch="a")
RUNNING = RunRecord(uuid=WEB, name="web", boot_id="now", phase=RunPhase.RUNNING, begun=0, container=LABEL.encode())
STARTING = replace(RUNNING, phase=RunPhase.STARTING, container=None, intent=Remains(uuid=str(WEB), launch="a"))
RESTARTING = replace(STARTING, again=True)
AUTODESTROY = replace(RUNNING, autodestroy=True)
ENDING = ending(RUNNING, StopReason.CRASHED, status=256, then=Next.RESTART)
FORMER_BOOT = replace(RUNNING, boot_id="before")
ALIVE = Held(uuid=str(WEB), pid=1, phase=StartPhase.RUNNING, status=None)
PAUSED = replace(ALIVE, phase=StartPhase.HELD)
NEWBORN = replace(ALIVE, phase=StartPhase.CLONED)
ENDED = replace(ALIVE, phase=StartPhase.EXITED, status=ExitStatus(status=0))


BOUND_RESTARTING = replace(RESTARTING, autodestroy=True)
BOUND_ENDING = replace(ENDING, autodestroy=True)


def facts(held: Held | None = None, label: ContainerRecord | None = None, *, outdated: bool = False) -> Evidence:
    return Evidence(
        boot_id="now",
        held={} if held is None else {WEB: held},
        labelled={} if label is None else {WEB: label},
        outdated=frozenset({WEB} if outdated else ()),
    )


@pytest.mark.parametrize("known", [facts(), facts(ALIVE), facts(ALIVE, LABEL), facts(ENDED), facts(None, LABEL)])
@pytest.mark.parametrize(
    ("record", "action"),
    [
        (RUNNING, Adopt(record=RUNNING)),
        (AUTODESTROY, Destroy(record=AUTODESTROY)),
        (STARTING, Undo(record=STARTING, again=False)),
        (RESTARTING, Undo(record=RESTARTING, again=True)),
        (ENDING, Conclude(record=ENDING)),
    ],
)
def test_a_run_gets_the_action_that_its_record_asks_for(record: RunRecord, action: Action, known: Evidence) -> None:
    assert decide([record], known) == [action]


@pytest.mark.parametrize("known", [facts(ALIVE), facts(PAUSED), facts(None, LABEL)])
def test_a_living_guest_that_no_record_tells_of_is_shown_and_never_ended(known: Evidence) -> None:
    assert decide([], known) == [Discover(uuid=WEB)]


def test_a_group_of_an_ended_guest_is_cleared_up_unless_a_record_or_a_living_one_accounts_for_it() -> None:
    relics = {WEB: LABEL}
    assert decide([], replace(facts(), relics=relics)) == [Drop(uuid=WEB)]
    assert decide([], replace(facts(ALIVE), relics=relics)) == [Discover(uuid=WEB)]
    assert decide([RUNNING], replace(facts(), relics=relics)) == [Adopt(record=RUNNING)]


@pytest.mark.parametrize("held", [NEWBORN, ENDED])
def test_what_the_keeper_holds_of_nobody_alive_is_dropped(held: Held) -> None:
    assert decide([], facts(held)) == [Drop(uuid=WEB)]


def test_a_record_that_tells_of_another_guest_than_the_living_one_does_not_hide_that() -> None:
    assert decide([RUNNING], facts(None, LABEL, outdated=True)) == [Discover(uuid=WEB)]
    assert decide([replace(RUNNING, container=None)], facts(ALIVE)) == [Discover(uuid=WEB)]


def test_a_record_of_an_earlier_boot_is_forgotten_and_hides_no_guest_of_this_one() -> None:
    assert decide([FORMER_BOOT], facts()) == [Forget(record=FORMER_BOOT)]
    assert decide([FORMER_BOOT], facts(ALIVE)) == [Forget(record=FORMER_BOOT), Discover(uuid=WEB)]


def test_a_start_over_a_living_guest_is_undone_alone_and_not_made_again() -> None:
    other = facts(ALIVE, replace(LABEL, launch="b"))
    expected = [Undo(record=RESTARTING, again=False), Discover(uuid=WEB)]
    assert decide([RESTARTING], other) == expected


@pytest.mark.parametrize("known", [facts(ALIVE), facts(ALIVE, LABEL), facts(None, LABEL)])
def test_a_guest_that_outlived_its_destroy_is_shown_until_it_is_dead(known: Evidence) -> None:
    destroying = replace(ENDING, reason=StopReason.DESTROYED, next=Next.OFF)
    assert decide([destroying], known) == [Destroy(record=destroying)]
    assert decide([destroying], facts(ENDED)) == [Conclude(record=destroying)]


@pytest.mark.parametrize("known", [facts(ALIVE), facts(ALIVE, LABEL), facts(None, LABEL)])
def test_a_guest_that_outlived_its_reset_is_shown_until_it_begins_anew(known: Evidence) -> None:
    resetting = replace(ENDING, reason=StopReason.RESET, asked=StopReason.RESET, next=Next.RESTART)
    assert decide([resetting], known) == [Reset(record=resetting)]
    assert decide([resetting], facts(ENDED)) == [Conclude(record=resetting)]
    bound = replace(resetting, autodestroy=True)
    assert decide([bound], known) == [Destroy(record=bound)]
    assert decide([bound], facts(ENDED)) == [Conclude(record=replace(bound, next=Next.OFF))]


def test_an_action_is_said_in_few_words() -> None:
    assert said(Adopt(record=RUNNING)) == f"adopt 'web' ({WEB})"
    assert said(Discover(uuid=MAIL)) == f"discover {MAIL}"


OTHER = replace(LABEL, pid=2)


@pytest.mark.parametrize(
    ("record", "labelled", "held", "outdated"),
    [
        (RUNNING, {WEB: LABEL}, {WEB: ALIVE}, False),
        (RUNNING, {WEB: OTHER}, {}, True),
        (RUNNING, {WEB: LABEL}, {WEB: replace(ALIVE, pid=2)}, False),
        (RUNNING, {}, {WEB: replace(ALIVE, pid=2)}, True),
        (RUNNING, {}, {WEB: replace(ALIVE, pid=2, phase=StartPhase.EXITED)}, False),
        (RUNNING, {}, {}, False),
        (STARTING, {WEB: OTHER}, {WEB: ALIVE}, False),
    ],
    ids=["as recorded", "by its label", "label before keeper", "by the keeper", "ended", "unknown", "without a pid"],
)
def test_a_record_is_outdated_if_another_init_lives_under_its_uuid(
    record: RunRecord, labelled: dict[UUID, ContainerRecord], held: dict[UUID, Held], outdated: bool
) -> None:
    assert is_outdated(record, labelled, held) is outdated


def test_what_was_to_die_with_its_connection_is_not_started_again_once_that_is_gone() -> None:
    """Seen: a guest rebooted while insulad died, and lived on for good."""
    assert decide([BOUND_RESTARTING], facts()) == [Undo(record=BOUND_RESTARTING, again=False)]
    assert decide([BOUND_ENDING], facts()) == [Conclude(record=replace(BOUND_ENDING, next=Next.OFF))]
    preserved = replace(BOUND_ENDING, next=Next.PRESERVE)
    assert decide([preserved], facts()) == [Conclude(record=preserved)]
