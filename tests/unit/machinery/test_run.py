"""What a whole run consists of: every test file has its place, and the machine gets what it takes."""

from pathlib import Path

from tests.machine.machine import Boot
from tests.run import CHECKOUT, HERE, _files_for

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
