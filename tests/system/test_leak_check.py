"""The leak check itself: whatever a test can leave behind is named, and nothing else is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import cgrouptree, leaks, libc
from tests.testhost import TestHost
from tests.waiting import until


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    """What a test leaked on purpose is put right before the real check looks."""
    with ExitStack() as stack:
        yield stack


def orphan(*command: str) -> None:
    """Leave a process whose parent has ended; return once it executes its command."""
    subprocess.run(["sh", "-c", f"{' '.join(command)} >/dev/null 2>&1 & exit 0"], check=True)
    until(lambda: any(each.command == " ".join(command) for each in leaks.descendants()), "the orphan's command")


def found_after(before: leaks.Snapshot) -> list[str]:
    return [str(thing) for thing in leaks.left_behind(before, seconds=0.05)]


def test_a_quiet_test_leaves_nothing(scratch: Path) -> None:
    before = leaks.snapshot()
    subprocess.run(["true"], check=True)
    (scratch / "file").write_text("files of the test's own directory are no leak")
    assert leaks.left_behind(before) == []


def test_a_mount_is_named_with_its_type(scratch: Path, undo: ExitStack) -> None:
    before = leaks.snapshot()
    libc.mount("tmpfs", str(scratch), "tmpfs")
    undo.callback(libc.unmount, str(scratch))
    (leak,) = found_after(before)
    assert leak.startswith(f"mount {scratch} (tmpfs, mount id ")


def test_a_grandchild_whose_parent_ended_is_named_with_its_command(undo: ExitStack) -> None:
    before = leaks.snapshot()
    orphan("sleep", "4321")
    things = leaks.left_behind(before, seconds=0.05)
    undo.callback(leaks.left_behind, before)
    undo.callback(leaks.clean_up, things)
    assert [thing.kind for thing in things] == ["process"]
    assert things[0].words == "sleep 4321"


def test_a_process_that_executes_between_two_looks_is_the_same(undo: ExitStack) -> None:
    go = ["sh", "-c", "read go; exec sleep 4321"]
    waiting = subprocess.Popen(go, stdin=subprocess.PIPE)
    undo.callback(waiting.communicate)
    undo.callback(waiting.kill)
    before = leaks.snapshot()
    assert waiting.stdin is not None
    waiting.stdin.write(b"go\n")
    waiting.stdin.flush()
    until(lambda: any(each.command == "sleep 4321" for each in leaks.descendants()), "its command")
    assert found_after(before) == []


def test_an_ended_orphan_is_collected_and_no_leak() -> None:
    before = leaks.snapshot()
    subprocess.run(["sh", "-c", "sleep 0.1 >/dev/null 2>&1 & exit 0"], check=True)
    assert leaks.left_behind(before) == []


@pytest.mark.machine("tests")
@pytest.mark.parametrize(
    "version",
    [
        pytest.param(1, marks=pytest.mark.requires("cgroup1.memory")),
        pytest.param(2, marks=pytest.mark.requires("cgroup2")),
    ],
)
def test_a_cgroup_is_named_in_every_hierarchy(version: int, undo: ExitStack) -> None:
    for hierarchy in cgrouptree.hierarchies():
        if hierarchy.version == version:
            before = leaks.snapshot()
            group = hierarchy.mount_point / "machine.slice" / "leak.scope"
            group.mkdir(parents=True)
            undo.callback(group.parent.rmdir)
            undo.callback(group.rmdir)
            assert found_after(before) == [f"cgroup {group}"]


def test_a_link_is_named(test_host: TestHost, undo: ExitStack) -> None:
    before = test_host.inside(leaks.namespace_things)
    test_host.run("ip", "link", "add", "leak0", "type", "bridge")
    undo.callback(test_host.run, "ip", "link", "delete", "leak0")
    left = leaks.left_behind(before, lambda: test_host.inside(leaks.namespace_things), seconds=0.05)
    assert [str(thing) for thing in left] == ["link leak0"]


def test_an_open_descriptor_is_named_with_what_it_refers_to(undo: ExitStack) -> None:
    before = leaks.snapshot()
    fd = os.open("/dev/null", os.O_RDONLY)
    undo.callback(os.close, fd)
    assert found_after(before) == [f"file descriptor {fd} (/dev/null)"]


def test_a_named_network_namespace_is_named(undo: ExitStack) -> None:
    before = leaks.snapshot()
    subprocess.run(["ip", "netns", "add", "leaky"], check=True)
    undo.callback(libc.unmount, "/run/netns", lazily=True)
    undo.callback(subprocess.run, ["ip", "netns", "delete", "leaky"], check=True)
    assert "named network namespace leaky" in found_after(before)


def test_a_file_at_the_systems_own_place_is_named(undo: ExitStack) -> None:
    before = leaks.snapshot()
    place = Path("/run/insula")
    place.mkdir()
    undo.callback(place.rmdir)
    (place / "keeper.sock").touch()
    undo.callback((place / "keeper.sock").unlink)
    assert found_after(before) == ["file /run/insula/keeper.sock"]


@pytest.mark.requires("loop")
def test_a_loop_device_over_a_test_file_is_named(scratch: Path, undo: ExitStack) -> None:
    before = leaks.snapshot()
    image = scratch / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    undo.callback(subprocess.run, ["losetup", "--detach", device], check=True)
    assert found_after(before) == [f"loop device {Path(device).name} ({image})"]


def test_what_ends_within_the_grace_is_no_leak(undo: ExitStack) -> None:
    before = leaks.snapshot()
    started = time.monotonic()
    sleeper = subprocess.Popen(["sleep", "0.3"])
    undo.callback(sleeper.wait)
    assert leaks.left_behind(before) == []
    assert time.monotonic() - started >= 0.2


@pytest.mark.machine("tests")
def test_cleaning_up_removes_processes_mounts_and_groups(scratch: Path) -> None:
    before = leaks.snapshot()
    orphan("sleep", "4321")
    libc.mount("tmpfs", str(scratch), "tmpfs")
    group = cgrouptree.hierarchies()[0].mount_point / "machine.slice" / "leak.scope"
    group.mkdir(parents=True)
    leaks.clean_up(leaks.left_behind(before, seconds=0.05))
    assert leaks.left_behind(before) == []
    group.parent.rmdir()


def test_a_leaking_test_fails_its_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a whole session with a leaking test in it, in an enclosure of its own."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("INSULA_TEST_TIME_SCALE", "1")  # a leak is certain: no need to wait for it for a minute
    pytester.makeconftest("from tests.system_fixtures import no_leaks, world\n__all__ = ['no_leaks', 'world']\n")
    pytester.makepyfile(
        """
        import subprocess

        def test_leaky(no_leaks):
            subprocess.run(["sh", "-c", "sleep 4321 >/dev/null 2>&1 & exit 0"], check=True)

        def test_clean(no_leaks):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["the test left behind:", "  process * (began at *: sleep 4321)"])


SLOW_SESSION = """
    import subprocess
    import time

    def test_slow(no_leaks, tmp_path):
        subprocess.run(["sh", "-c", "sleep 5432 >/dev/null 2>&1 & exit 0"], check=True)
        print("busy", flush=True)
        time.sleep(100)
"""


@pytest.mark.machine("tests")
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.requires("own-cgroup-root"))],
)
def test_nothing_stays_of_a_session_that_is_ended(number: signal.Signals, pytester: pytest.Pytester) -> None:
    """Terminated, a session clears up after itself; killed, the next one does it."""
    command = (sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "INSULA_TEST_TIME_SCALE": "1"}
    pytester.makeconftest("from tests.system_fixtures import no_leaks, world\n__all__ = ['no_leaks', 'world']\n")
    pytester.makepyfile(SLOW_SESSION)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=pytester.path) as session:
        assert session.stdout
        assert any("busy" in line for line in session.stdout)
        session.send_signal(number)
        session.stdout.read()
    if number == signal.SIGKILL:
        pytester.makepyfile("def test_next(no_leaks):\n    pass\n")
        subprocess.run(command, check=True, env=environment, cwd=pytester.path, capture_output=True)
    until(
        lambda: not [each for each in leaks.descendants() if "5432" in each.command and each.state != "Z"],
        "the end of what the session had started",
    )
    assert not list(Path("/var/tmp").glob(f"it-{session.pid}-*"))
    for hierarchy in cgrouptree.hierarchies():
        assert not [group for group in cgrouptree.groups_below(hierarchy.mount_point) if str(session.pid) in group.name]
