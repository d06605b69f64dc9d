"""Parts of a run beside each other: started, told in order, and all ended when one is asked to end."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import parts
from tests.parts import Ended, Part
from tests.waiting import patience, until

CHECKOUT = Path(__file__).parents[3]


def shell(title: str, script: str) -> Part:
    return Part(title=title, command=("sh", "-c", script), environment={"PLACE": "{directory}"})


def told(lanes: Sequence[Sequence[Part]], tmp_path: Path) -> tuple[list[Ended], list[str]]:
    output = io.BytesIO()
    ended = parts.run(lanes, checkout=CHECKOUT, directory=tmp_path, output=output)
    return ended, output.getvalue().decode().splitlines()


def test_lanes_stand_beside_each_other_and_the_parts_of_one_follow_each_other(tmp_path: Path) -> None:
    place = tmp_path / "meeting"
    place.mkdir()
    meets = "echo $$ > {0}/{1}; while [ ! -e {0}/{2} ]; do sleep 0.01; done"
    first = shell("first", meets.format(place, "a", "b"))
    last = shell("last", f"[ -e {place}/b ] && echo after")
    other = shell("other", meets.format(place, "b", "a"))
    ended, lines = told([[first, last], [other]], tmp_path)
    assert [each.status for each in ended] == [0, 0, 0]
    assert "after" in lines


def test_what_parts_say_is_told_whole_and_in_order_however_they_end(tmp_path: Path) -> None:
    place = tmp_path / "sign"
    slow = shell("slow", f"echo one; while [ ! -e {place} ]; do sleep 0.01; done; echo two >&2")
    fast = shell("fast", f"echo three; touch {place}")
    _, lines = told([[slow], [fast]], tmp_path)
    assert lines == ["", "== slow", "one", "two", "", "== fast", "three"]


def test_a_part_that_fails_stops_no_other(tmp_path: Path) -> None:
    ended, lines = told([[shell("bad", "exit 3"), shell("good", "echo on")], [shell("other", "exit 0")]], tmp_path)
    assert [(each.part.title, each.status) for each in ended] == [("bad", 3), ("good", 0), ("other", 0)]
    assert "on" in lines


def test_each_part_leaves_its_report_in_a_directory_of_its_own(tmp_path: Path) -> None:
    lanes = [[shell(f"{lane}{part}", f"echo {lane}{part} > $PLACE/report.json") for part in "ab"] for lane in "12"]
    ended, _ = told(lanes, tmp_path)
    assert [each.report.read_text().strip() for each in ended] == ["1a", "1b", "2a", "2b"]


RUNS = """
import signal, sys
from pathlib import Path
from tests import parts
from tests.parts import Part

signal.signal(signal.SIGTERM, signal.default_int_handler)
script = "trap 'echo tidied; exit' TERM; echo $$ > {directory}/pid; while :; do sleep 0.01; done"
part = Part(title="endless", command=("sh", "-c", script))
never = Part(title="never", command=("touch", "{directory}/never"))
try:
    parts.run([[part, never], [part]], checkout=Path.cwd(), directory=Path(sys.argv[1]), output=sys.stdout.buffer)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_ends_the_run_ends_all_parts_which_tidy_up(number: signal.Signals, tmp_path: Path) -> None:
    command = (sys.executable, "-c", RUNS, str(tmp_path))
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as run:
        begun = until(lambda: _pids(tmp_path, 2), "the start of both parts", seconds=20)
        run.send_signal(number)
        said, _ = run.communicate(timeout=patience(60))
    assert said.splitlines() == ["", "== endless", "tidied", "interrupted"]
    assert not [pid for pid in begun if _is_ours(pid, tmp_path)]
    assert not list(tmp_path.rglob("never"))


def test_parts_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", RUNS, str(tmp_path)), cwd=CHECKOUT, stdout=subprocess.PIPE) as run:
        begun = until(lambda: _pids(tmp_path, 2), "the start of both parts", seconds=20)
        run.kill()
    until(lambda: not [pid for pid in begun if _runs(pid)], "the end of both parts", seconds=20)


def _pids(directory: Path, count: int) -> list[int]:
    """Return the parts' process ids once there are so many."""
    texts = [file.read_text().strip() for file in directory.rglob("pid")]
    return [int(text) for text in texts] if len(texts) == count and all(texts) else []


def _is_ours(pid: int, directory: Path) -> bool:
    """Whether the process is a part, which names its directory: on a busy host the number may be another's by now."""
    try:
        return str(directory) in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _runs(pid: int) -> bool:
    """Whether the process lives; one that nobody has collected does not."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
