"""Limits of processes that run."""

import resource
import subprocess
from collections.abc import Iterator

import pytest

from insula.kernel import processlimits

LIMIT = (64, 128)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        yield process
        process.kill()


def test_a_limit_is_put_on_each_process_and_read_back(sleeper: subprocess.Popen[bytes]) -> None:
    asked: list[int] = []

    def processes() -> list[int]:
        asked.append(1)
        return [sleeper.pid]

    processlimits.limit_all(processes, {"nofile": LIMIT, "core": (0, None)})
    held = processlimits.held(sleeper.pid)
    assert held["nofile"] == LIMIT
    assert held["core"] == (0, None)
    assert len(asked) == 2  # those that came meanwhile are looked for once more
    assert resource.getrlimit(resource.RLIMIT_NOFILE) != LIMIT


def test_who_has_ended_is_passed_over() -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    processlimits.limit_all(lambda: [gone.pid], {"nofile": LIMIT})


def test_who_forks_without_end_holds_nobody_up() -> None:
    rounds = iter(range(2**22 + 1, 2**22 + 1000))
    processlimits.limit_all(lambda: [next(rounds)], {"nofile": LIMIT})
    assert next(rounds) <= 2**22 + 10
