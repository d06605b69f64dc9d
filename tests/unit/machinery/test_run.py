"""What a whole run consists of: every test file has its place, and the machine gets what it takes."""

import json
from pathlib import Path

from tests.machine.machine import Boot
from tests.parts import Ended, Part
from tests.run import CHECKOUT, HERE, UNSTEADY_MOST, _files_for, _second_look

FILES = sorted(str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "tests").rglob("test_*.py"))


def test_every_test_file_is_run_here_once() -> None:
    paths = [path for lane in HERE for _, each in lane for path in each]
    for file in FILES:
        assert sum(file == path or file.startswith(f"{path}/") for path in paths) == 1, file


def test_the_machine_imports_the_files_that_it_can_take_tests_from() -> None:
    minimal, systemd = _files_for(Boot.MINIMAL), _files_for(Boot.SYSTEMD)
    assert "tests/system/test_cgroups.py" in minimal
    assert "tests/system/test_systemd_host.py" in systemd
    for file in set(FILES) - set(minimal):
        assert "mark.machine(" not in Path(CHECKOUT, file).read_text()


def ended(directory: Path, title: str, failed: int) -> Ended:
    tests = {f"{title}::passes": {"outcome": "passed", "reason": ""}}
    tests |= {f"{title}::fails{number}": {"outcome": "failed", "reason": "call"} for number in range(failed)}
    report = directory / title
    report.write_text(json.dumps({"host": "hybrid", "tests": tests, "unlisted skips": []}))
    return Ended(
        part=Part(title=title, command=("pytest",), words=("tests",)), status=bool(failed), seconds=1, report=report
    )


def test_the_second_look_takes_what_failed_and_nothing_else(tmp_path: Path) -> None:
    again = _second_look([ended(tmp_path, "a", 2), ended(tmp_path, "b", 0), ended(tmp_path, "c", UNSTEADY_MOST - 2)])
    assert [part.title for part in again] == ["a, once more", "c, once more"]
    assert list(again[0].words) == ["a::fails0", "a::fails1"]


def test_there_is_no_second_look_at_many_failures(tmp_path: Path) -> None:
    assert not _second_look([ended(tmp_path, "a", 2), ended(tmp_path, "b", UNSTEADY_MOST - 1)])
