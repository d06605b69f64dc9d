import os
import subprocess

from insula.engine.look.commandlook import WORDS_MAX, read_commands
from tests.waiting import until


def test_the_words_of_those_that_are_there_are_read_and_no_more_than_a_part_of_long_ones() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeping, subprocess.Popen(["sleep", *["1000"] * 5000]) as long:
        pids = [sleeping.pid, long.pid, 2**22 + 1]
        try:
            until(lambda: len(read_commands({"pids": pids}, {})) == 2, "both programs having begun")
            found = read_commands({"pids": pids}, {})
        finally:
            sleeping.kill()
            long.kill()
    assert found[str(sleeping.pid)] == "sleep 1000" and len(found[str(long.pid)]) <= WORDS_MAX


def test_what_has_no_words_is_left_out() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert read_commands({"pids": [pid]}, {}) == {}
    os.waitpid(pid, 0)
