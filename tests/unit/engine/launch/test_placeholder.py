import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from insula.engine.launch.placeholder import Placeholder
from insula.engine.launch.systemdscope import ScopeError
from tests.waiting import patience


def test_a_placeholder_lives_until_it_is_ended() -> None:
    made = Placeholder()
    assert made.lives
    made.kill()
    made.end()
    assert not made.lives
    made.end()


def test_a_placeholder_ends_with_who_made_it() -> None:
    script = (
        "import os, signal\n"
        "from insula.engine.launch.placeholder import Placeholder\n"
        "print(Placeholder().pid, flush=True)\n"
        "input()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdin is not None
        pidfd = os.pidfd_open(int(maker.stdout.readline()))
        assert select.select([pidfd], [], [], 0)[0] == []
        maker.stdin.write("\n")
        maker.stdin.flush()
        assert select.select([pidfd], [], [], patience(30))[0] == [pidfd]
        os.close(pidfd)


def test_a_host_without_a_program_for_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScopeError, match="there is no program 'cat'"):
        Placeholder()
