"""What the documentation of the SDK shows is run as it stands there: docstrings, and the programs of examples/."""

import doctest
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from insula import Container
from insula.engine import container, fileverbs, insideverbs, runningverbs
from insula.layout import PREFIX_VARIABLE
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")


def test_the_examples_in_docstrings_are_true(busybox_root: Path) -> None:
    globs = {"root": busybox_root, "Container": Container}
    find = doctest.DocTestFinder().find
    documented = (container, fileverbs, insideverbs, runningverbs)
    found = (each for module in documented for each in find(module, module.__name__, globs=globs))
    tests = [each for each in found if each.examples]
    runner = doctest.DocTestRunner()
    said: list[str] = []
    for each in tests:
        runner.run(each, out=said.append)
    assert (runner.summarize(verbose=False).failed, "".join(said)) == (0, "")
    assert len(tests) >= 8


EXAMPLES = Path(__file__).parents[2] / "examples"


def said(name: str, *arguments: str | Path, prefix: Path | None = None) -> list[str]:
    """Run an example, and return the lines it prints."""
    environment = os.environ | ({} if prefix is None else {PREFIX_VARIABLE: str(prefix)})
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text()
    assert [each.stem for each in EXAMPLES.glob("*.py") if f'said("{each.stem}"' not in here] == []


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_without_its_arguments_tells_what_it_takes(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, timeout=patience(60), check=False
    )
    assert done.returncode == 1 and f"{example.name} ROOT" in done.stderr and "Traceback" not in done.stderr


def test_a_build_in_a_throwaway_brings_its_result_out(busybox_root: Path, tmp_path: Path) -> None:
    target = tmp_path / "site.tar"
    assert said("build_in_a_throwaway", busybox_root, target) == [f"built {target}"]
    with tarfile.open(target) as built:
        assert "site/two.html" in built.getnames()


def test_a_greedy_program_is_held_within_limits(busybox_root: Path) -> None:
    assert said("hold_within_limits", busybox_root) == [
        "it ended: killed for want of memory",
        "the kernel killed 1 of its processes",
        f"now it may have {64 << 20} bytes and 50 tasks",
    ]


def test_many_containers_work_at_once(busybox_root: Path) -> None:
    assert said("many_at_once", busybox_root, "4") == [f"worker-{number} is fine" for number in range(4)]


def test_a_program_is_talked_with(busybox_root: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    (tmp_path / "other").touch()
    first, second = said("talk_with_a_program", busybox_root, tmp_path)
    assert first == "echo $(ls /srv/shown): file other"
    assert second.endswith(": it cannot be changed")


def test_the_daemon_is_asked(busybox_root: Path, insulad: Insulad) -> None:
    lines = said("ask_the_daemon", busybox_root, prefix=insulad.layout.root)
    assert lines[:3] == ["it is running", "from example", "the program ended with 7"]
    assert lines[3:] == ["example: defined", "example: started", "example: stopped"]
