"""What system and e2e tests share: the enclosure, the leak check, hosts, guest roots and the daemon."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from insula.engine.sharedengine import SHARED_ENGINE
from tests import leaks, roots
from tests.enclosure import Enclosure
from tests.hostnet import HostNet, host_with_uplink
from tests.insulad import Insulad
from tests.testhost import TestHost


@pytest.fixture(scope="session")
def world() -> Iterator[Enclosure]:
    """The session's enclosure: from here on the test process lives in namespaces of its own, as sub-reaper."""
    entered = Enclosure()
    before = leaks.snapshot()
    yield entered
    SHARED_ENGINE.close()
    left = leaks.left_behind(before)
    leaks.clean_up(left)
    entered.leave()
    assert not left, _message("the session", left)


@pytest.fixture
def no_leaks(world: Enclosure) -> Iterator[None]:
    """Fail the test that leaves anything behind; set up first and torn down last among the test's own fixtures.

    All tests of system/ and e2e/ use it, by their conftest files.
    """
    before = leaks.snapshot()
    yield
    SHARED_ENGINE.close()
    left = leaks.left_behind(before)
    leaks.clean_up(left)
    if left:
        pytest.fail(_message("the test", left), pytrace=False)


def _message(who: str, left: list[leaks.Thing]) -> str:
    return f"{who} left behind:\n" + "\n".join(f"  {thing}" for thing in left)


@pytest.fixture
def scratch(world: Enclosure, no_leaks: None) -> Iterator[Path]:
    """An empty directory on a disk, its path short enough for UNIX sockets; removed after the test."""
    directory = Path(tempfile.mkdtemp(prefix="t", dir=world.base))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def test_host(no_leaks: None) -> Iterator[TestHost]:
    """Network, mount and UTS namespaces of the test's own; what is left in them at the end is a leak."""
    host = TestHost()
    before = host.inside(leaks.namespace_things)
    yield host
    left = leaks.left_behind(before, lambda: host.inside(leaks.namespace_things))
    host.close()
    if left:
        pytest.fail(_message("in its test host, the test", left), pytrace=False)


@pytest.fixture
def hostnet(test_host: TestHost) -> Iterator[HostNet]:
    """The test host with an uplink, default routes, and a machine beyond them; see tests/hostnet.py."""
    with host_with_uplink(test_host) as net:
        yield net


@pytest.fixture
def busybox_root(scratch: Path) -> Path:
    """A busybox tree of the test's own: all applets, its init, a getty on the console; see tests/roots.py."""
    return busybox_copy(scratch / "busybox")


def busybox_copy(target: Path) -> Path:
    """Copy the busybox tree to target, which must not exist yet, and return it."""
    subprocess.run(["cp", "-a", str(roots.busybox()), str(target)], check=True)
    return target


@pytest.fixture(scope="session")
def debian_root(world: Enclosure) -> Callable[[str], Path]:
    """Returns the root of a stock Debian for `"12"` or `"13"`; shared by all tests: clone it, never write to it."""
    return lambda release: roots.debian(release, world.outside)


@pytest.fixture
def insulad(test_host: TestHost, scratch: Path, failed_test_logs: dict[str, Path]) -> Iterator[Insulad]:
    """A running insulad with a prefix of its own, in the test host; see tests/insulad.py."""
    daemon = Insulad(host=test_host, prefix=scratch / "p")
    failed_test_logs["insulad"] = daemon.log
    failed_test_logs["the keeper"] = daemon.layout.logs / "keeper.log"
    try:
        daemon.start()
    except BaseException:
        daemon.abandon()
        raise
    yield daemon
    daemon.close()


_LOGS = pytest.StashKey[dict[str, Path]]()


@pytest.fixture
def failed_test_logs(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Name → log file: what a fixture or test puts in here is shown in the report if the test fails."""
    logs: dict[str, Path] = {}
    request.node.stash[_LOGS] = logs
    return logs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of the test's log files to the report of a failure."""
    report = yield
    if report.failed:
        for name, log in item.stash.get(_LOGS, {}).items():
            if log.exists():
                report.sections.append((f"log of {name}", log.read_text(errors="replace")[-8000:]))
    return report
