"""A run's consoles are read at once, shown at terminals of the host, and logged where the definition says."""

import os
import re
from pathlib import Path

import pytest

from insula.engine.console.consolechannel import Viewing
from insula.engine.console.consolelog import USUAL_LIMITS
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import ContainerSpec, DirectoryRoot, Process
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from insula.model.domain import DomainDefinition
from insula.service import consolereaders
from insula.service.consolereaders import ConsoleReaders
from insula.service.managed import ManagedDomain
from insula.service.rundirectory import RunDirectory
from tests.unit.service.fakes import WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


def xml(log: str = "") -> str:
    return domain_xml().replace("<devices>", f"<devices><console type='pty'>{log}</console>")


async def test_the_terminals_that_show_consoles_are_kept_for_the_next_daemon(rig: Rig) -> None:
    rig.preparation.consoles = 1
    await rig.domains.create_xml(xml())
    await until(lambda: rig.host.start_keeper().kept(str(WEB)) == {"shown0"})


async def test_without_a_terminal_of_the_host_a_domain_runs_and_that_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consolereaders, "free_terminals", lambda: consolereaders.LEFT_TO_GUESTS)
    rig.preparation.consoles = 1
    ref = await rig.domains.create_xml(xml())

    assert not re.search(r"tty=|<source path", rig.domains.dump_xml(ref))
    assert [each for each in rig.domains.messages(ref) if "the host has few left" in each]
    os.write(rig.guest().terminals[0], b"hello")
    assert await rig.domains.console(ref).read() == b"hello"


def found_again(master: int) -> Running:
    """A guest that another daemon began."""
    root = DirectoryRoot(path="/srv/web")
    spec = ContainerSpec(name="web", uuid=str(WEB), root=root, init=Process(argv=("/sbin/init",)))
    record = ContainerRecord(spec=spec, id=7, pid=7, born=1, boot="b", group="g")
    return Running(record=record, group=Cgroup(Hierarchies(), "g"), consoles=[Fd(master)], said=[b", meanwhile"])


@pytest.mark.parametrize("lost", [False, True], ids=["kept in the run directory", "lost there"])
async def test_what_was_printed_under_an_earlier_daemon_is_shown_and_completes_the_log(
    rig: Rig, tmp_path: Path, *, lost: bool
) -> None:
    directory = RunDirectory(rig.layout)
    ring = directory.console(WEB, 0)
    ring.parent.mkdir(parents=True)
    if not lost:
        ring.write_bytes(b"before" * 100 + b", unlogged")
    readers = ConsoleReaders(engine=rig.engine, directory=directory, logs=tmp_path, limits=USUAL_LIMITS)
    readers.log("web", 0).write_bytes(b"before" * 100)
    domain = DomainDefinition.load(xml())
    master, slave = os.openpty()
    managed = ManagedDomain(description=domain)
    (hub,) = readers.begin(managed, domain, found_again(master), found_again=True)

    whole = b"before" * 100 + (b"" if lost else b", unlogged") + b", meanwhile"
    await until(lambda: hub.attach(Viewing.WATCHING).backlog == len(whole))
    assert await hub.attach(Viewing.WATCHING).read() == whole
    await hub.finish()
    assert readers.log("web", 0).read_bytes() == whole
    os.close(slave)


async def test_a_log_that_the_definition_names_gets_a_copy(rig: Rig, tmp_path: Path) -> None:
    rig.preparation.consoles = 1
    file = tmp_path / "given.log"
    file.write_bytes(b"of an earlier run ")
    await rig.domains.create_xml(xml(f"<log file='{file}' append='off'/>"))
    os.write(rig.guest().terminals[0], b"hello")
    await until(lambda: file.read_bytes() == b"hello")
