import signal

import pytest

from insula.cli.consolecommands import exit_status
from insula.sdk.values import Outcome


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome("shutdown", 7 << 8), 7),
        (Outcome("shutdown", 0), 0),
        (Outcome("shutdown", int(signal.SIGINT)), 0),
        (Outcome("crashed", int(signal.SIGSEGV)), 128 + 11),
        (Outcome("destroyed", int(signal.SIGKILL)), 128 + 9),
        (Outcome("failed", None), 125),
    ],
)
def test_a_guests_end_is_an_exit_status(outcome: Outcome, status: int) -> None:
    assert exit_status(outcome) == status
