"""What the daemon tells, as typed values; also what a newer daemon might."""

import pytest

from insula.model.domainstates import DomainState, LifecycleKind, PausedReason, ShutoffReason
from insula.rpc.connection import Notification
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.values import ExecRequest, Lifecycle, State, lifecycle_of, state_of, uuid_text

WEB = DomainRef("web", bytes(16), 1)


@pytest.mark.parametrize(
    ("numbers", "state"),
    [
        ((3, 1), State(DomainState.PAUSED, PausedReason.USER)),
        ((5, 2), State(DomainState.SHUTOFF, ShutoffReason.DESTROYED)),
        ((0, 0), State(DomainState.NOSTATE, None)),
        ((5, 99), State(DomainState.SHUTOFF, None)),
        ((99, 1), State(DomainState.NOSTATE, None)),
    ],
)
def test_a_state_and_its_reason(numbers: tuple[int, int], state: State) -> None:
    assert state_of(*numbers) == state


def message(event: int) -> Notification:
    row = Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE
    body = row.arguments.pack((1, (WEB, event, 0)))
    return Notification(row, row.arguments.unpack(body))


def test_a_lifecycle_message_and_one_of_the_future() -> None:
    assert lifecycle_of(message(2)) == Lifecycle(WEB, LifecycleKind.STARTED, 0)
    assert lifecycle_of(message(99)) is None


def test_a_uuid_is_written_in_five_groups() -> None:
    assert uuid_text(bytes(range(16))) == "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_a_request_says_only_what_is_not_usual() -> None:
    assert ExecRequest(("ls", "-l")).to_json() == {"argv": ("ls", "-l")}
    assert ExecRequest(("sh",), tty=True, rows=24, columns=80, user="root", env={"A": "b"}).to_json() == {
        "argv": ("sh",),
        "env": {"A": "b"},
        "user": "root",
        "tty": True,
        "rows": 24,
        "columns": 80,
    }
