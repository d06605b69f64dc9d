"""One domain: what is defined, what runs, and what describes it."""

import re
from pathlib import Path

import pytest

import insula
from insula.errors import DomainNotFoundError, InternalError, OperationInvalidError
from insula.model.domain import DomainDefinition
from insula.model.domainstates import TRANSITIONS, Happening, StateWithReason
from insula.service.events import Event, LifecycleEvent, Reboot
from insula.service.managed import NEVER_RAN, ManagedDomain
from tests.unit.service.fakes import WEB, domain_xml

CONFIG = DomainDefinition.load(domain_xml())
OTHER = DomainDefinition.load(domain_xml(more="<title>other</title>"))


def test_a_defined_domain_that_never_ran_is_off_and_described_by_its_definition() -> None:
    managed = ManagedDomain(description=CONFIG, definition=CONFIG)

    assert (managed.name, managed.uuid, managed.id, managed.state) == ("web", WEB, -1, NEVER_RAN)
    assert managed.is_persistent
    assert not managed.is_active


def test_a_new_definition_describes_what_is_off_at_once() -> None:
    managed = ManagedDomain(description=CONFIG, definition=CONFIG)
    managed.define(OTHER)

    assert managed.current == OTHER
    assert not managed.updated


def test_what_is_not_there_is_refused() -> None:
    transient = ManagedDomain(description=CONFIG)

    with pytest.raises(OperationInvalidError, match="domain is not running"):
        transient.require_run()
    with pytest.raises(OperationInvalidError, match="do not have any persistent config"):
        transient.require_config()


def test_a_transient_domain_that_will_be_started_again_keeps_what_ran() -> None:
    managed = ManagedDomain(description=OTHER, definition=CONFIG)
    managed.end(Happening.SHUT_DOWN, restarts=True)
    assert managed.current == OTHER

    managed.end(Happening.SHUT_DOWN)
    assert managed.current == CONFIG


@pytest.mark.asyncio
async def test_a_verb_on_what_is_gone_finds_no_domain() -> None:
    managed = ManagedDomain(description=CONFIG)
    managed.gone = True

    async def work() -> None:
        pytest.fail("the domain is gone")

    with pytest.raises(DomainNotFoundError):
        await managed.lock.perform("start", work)


@pytest.mark.parametrize("happening", Happening)
@pytest.mark.parametrize("before", [NEVER_RAN, *(each.after for each in TRANSITIONS.values())])
def test_every_change_of_the_state_follows_the_table_and_is_told(happening: Happening, before: StateWithReason) -> None:
    managed, told = ManagedDomain(description=CONFIG, definition=CONFIG), list[Event]()
    managed.events.subscribe(told.append)
    managed.found(before)
    transition = TRANSITIONS[happening]
    if before.state not in transition.before:
        with pytest.raises(InternalError, match="domain 'web' is"):
            managed.happen(happening)
        assert (managed.state, told) == (before, [])
        return
    managed.happen(happening)
    assert managed.state == transition.after
    lifecycle = [(each.kind, each.detail) for each in told if isinstance(each, LifecycleEvent)]
    assert lifecycle == list(transition.told)
    assert [each for each in told if isinstance(each, Reboot)] == [Reboot(domain=managed.ref)][
        : happening in (Happening.REBOOTED, Happening.REBOOTED_PAUSED)
    ]


def test_what_cannot_happen_leaves_the_run_as_it_is() -> None:
    managed = ManagedDomain(description=CONFIG, definition=CONFIG)
    managed.found(TRANSITIONS[Happening.BOOTED].after)
    with pytest.raises(InternalError, match="domain 'web' is running, and resumed"):
        managed.end(Happening.RESUMED)
    assert managed.state == TRANSITIONS[Happening.BOOTED].after


def test_what_an_earlier_daemon_left_is_told_nobody() -> None:
    managed, told = ManagedDomain(description=CONFIG, definition=CONFIG), list[Event]()
    managed.events.subscribe(told.append)
    managed.found(TRANSITIONS[Happening.SUSPENDED].after)
    assert told == []


def test_nothing_but_the_domain_itself_writes_its_state() -> None:
    source = Path(insula.__file__).parent
    writers = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if path.parts[-2] in ("service", "daemon", "dispatch")
        and re.search(r"\._state\b|\w\.state = ", path.read_text())
    }
    assert writers == {"service/managed.py"}
