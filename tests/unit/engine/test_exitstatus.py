"""Tests of insula.engine.exitstatus."""

import pytest

from insula.engine.exitstatus import ExitMeaning, ExitStatus


@pytest.mark.parametrize(
    ("status", "meaning", "code", "signal", "text"),
    [
        (0, ExitMeaning.EXITED, 0, None, "exited with 0"),
        (7 << 8, ExitMeaning.EXITED, 7, None, "exited with 7"),
        (1, ExitMeaning.REBOOTED, None, 1, "rebooted"),
        (2, ExitMeaning.POWERED_OFF, None, 2, "powered off"),
        (9, ExitMeaning.KILLED, None, 9, "killed by SIGKILL"),
        (11 | 0x80, ExitMeaning.KILLED, None, 11, "killed by SIGSEGV"),
        (40, ExitMeaning.KILLED, None, 40, "killed by signal 40"),
        (None, ExitMeaning.UNKNOWN, None, None, "unknown"),
    ],
)
def test_a_wait_status_has_one_meaning(
    status: int | None, meaning: ExitMeaning, code: int | None, signal: int | None, text: str
) -> None:
    ended = ExitStatus(status=status)
    assert (ended.meaning, ended.code, ended.signal, str(ended)) == (meaning, code, signal, text)
