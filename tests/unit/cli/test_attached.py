import signal

import pytest

from insula.cli.attached import exit_status


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ({"reason": "shutdown", "status": 7 << 8}, 7),
        ({"reason": "shutdown", "status": 0}, 0),
        ({"reason": "shutdown", "status": int(signal.SIGINT)}, 0),
        ({"reason": "crashed", "status": int(signal.SIGSEGV)}, 128 + 11),
        ({"reason": "destroyed", "status": int(signal.SIGKILL)}, 128 + 9),
        ({"reason": "failed", "status": None}, 125),
    ],
)
def test_a_guests_end_is_an_exit_status(outcome: dict[str, object], status: int) -> None:
    assert exit_status(outcome) == status
