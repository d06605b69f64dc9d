"""A daemon killed before each of its changes to files and the host, one after another; run by test_runs.

    python -m tests.unit.service.killing DIRECTORY STRIDE

For N = 1, 1 + STRIDE, … a child goes through a life of domains and dies, as of SIGKILL, right before its N-th change of
the host or below DIRECTORY/N; then a second child takes over and says what is wrong. It ends when a life comes to its
end unharmed, and prints N. The parent starts no thread and no loop, so that forking is safe.
"""

import asyncio
import itertools
import os
import shutil
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from insula.errors import InsulaError
from insula.model.numbers import Affect, ListDomains
from insula.service import lifecycle
from insula.service.events import DomainIdentity
from insula.service.startoptions import Storage
from insula.testing import FakeGroup, hoststore
from tests.unit.service.fakes import CRASHED, MAIL, REBOOTED, WEB, Rig, domain_xml, until

SHOP = UUID(int=3)
HOST = "memory"
"""Below the directory of a life: where the host is written down that it was lived on."""
CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate"})
"""Audit events of calls that change the file system; `open` counts when it is for writing."""


class Diary:
    """What the life did, told to a file that outlives it: `begun VERB`, `done VERB`."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def during(self, verb: str, work: Coroutine[Any, Any, Any]) -> Any:
        os.write(self._fd, f"begun {verb}\n".encode())
        result = await work
        os.write(self._fd, f"done {verb}\n".encode())
        return result


async def life(directory: Path, number: int) -> None:
    """Define, start, change, pause, reboot, crash, end, and die before the change of that number."""
    rig, diary = Rig(directory), Diary(directory / "diary")
    die_before_change(number, directory, rig)
    domains = rig.domains
    await diary.during("recover", domains.recover())
    web = await diary.during("define", domains.define(domain_xml(more="<on_crash>restart</on_crash>")))
    await diary.during("autostart", domains.set_autostart(web, True))
    await diary.during("start", domains.start(web))
    await diary.during("redefine", domains.define(domain_xml(more="<title>new</title>")))
    await diary.during("set memory", domains.set_memory(web, 32768, Affect.LIVE | Affect.CONFIG))
    await diary.during("take memory", domains.set_memory(web, 16384, Affect.LIVE | Affect.CONFIG))
    await diary.during("suspend", domains.suspend(web))
    await diary.during("resume", domains.resume(web))
    mail = await diary.during("create", domains.create_xml(domain_xml("mail", MAIL)))
    await diary.during("reboot", _end(rig, WEB, REBOOTED, 2))
    await diary.during("reset", domains.reset(web))
    await diary.during("crash", _end(rig, WEB, CRASHED, 4))
    await diary.during("suspend again", domains.suspend(web))
    await diary.during("reset of what stands still", domains.reset(web))
    await diary.during("destroy", domains.destroy(web))
    await diary.during("end of mail", _end(rig, MAIL, CRASHED, 0))
    del mail
    await diary.during("undefine", domains.undefine(web, storage=Storage.DISCARD))
    shop = await diary.during("define shop", domains.define(domain_xml("shop", SHOP)))
    await diary.during("start shop", domains.start(shop))
    await diary.during("undefine shop", domains.undefine(shop, storage=Storage.DISCARD))
    await diary.during("destroy shop", domains.destroy(shop))


async def _end(rig: Rig, uuid: Any, status: int, launches: int) -> None:
    """Let a guest end, and wait for what follows."""
    rig.end(uuid, status)
    if launches:
        await until(lambda: rig.launches() == launches)
        await until(lambda: rig.domains.holder(rig.domains.lookup_by_uuid(uuid)) is None)
    else:
        await until(lambda: uuid not in rig.guests())
        await until(lambda: uuid not in {each.uuid for each in rig.domains.list()})


def die_before_change(number: int, directory: Path, rig: Rig) -> None:
    """Arm this process: the host that its daemon was on is written down at its death."""
    left, prefix, before = number, str(directory), rig.host.before

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            rig.die()
            hoststore.save(rig.host, directory / HOST)
            os._exit(9)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES and not (event == "open" and writes(arguments)):
            return
        if arguments and str(arguments[0]).startswith(prefix):
            count()

    def change(what: str) -> None:
        if left > 0:  # what the host does at the daemon's death is none of its changes
            count()
        before(what)

    rig.host.before = change
    sys.addaudithook(audit)


def writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


async def successor(directory: Path) -> None:
    """Take over and check that nothing is lost and nothing is left. Raises: AssertionError."""
    lines = (directory / "diary").read_text().splitlines() if (directory / "diary").exists() else []
    begun = [each.removeprefix("begun ") for each in lines if each.startswith("begun ")]
    done = [each.removeprefix("done ") for each in lines if each.startswith("done ")]
    host = hoststore.load(directory / HOST)
    for again in range(2):
        rig = Rig(directory, host=host)
        await rig.domains.recover()
        await until(partial(_settled, rig))
        _check_promises(rig, begun, done)
        _check_order(rig)
        if again:
            await _check_usable(rig)
        await rig.close()


def _settled(rig: Rig) -> bool:
    """Whether nothing waits to be started again."""
    return len(rig.domains.list(ListDomains.ACTIVE)) == rig.domains.running()


def _check_promises(rig: Rig, begun: list[str], done: list[str]) -> None:
    names = {each.name for each in rig.domains.list()}
    if "define" in done and "undefine" not in begun:
        assert "web" in names, "a definition is lost"
    if "undefine" in done:
        assert "web" not in names, "an undefined domain is back"
    if "destroy shop" in done:
        assert "shop" not in names, "a domain that was transient at its end is back"
    running = {each.name for each in rig.domains.list(ListDomains.ACTIVE)}
    if "start" in done and "destroy" not in begun:
        assert "web" in running, "a started guest is lost"
    if "destroy" in done:
        assert "web" not in running, "a destroyed guest is back"
    if "create" in done and "end of mail" not in begun:
        assert "mail" in running, "a transient guest is lost"
    if "web" in names:
        web = rig.domains.lookup_by_name("web")
        if "autostart" in done:
            assert rig.domains.autostart(web), "autostart is lost"
        if "redefine" in done:
            assert "<title>new</title>" in rig.domains.dump_xml(web, inactive=True), "a change is lost"
        _check_memory(rig, web, begun, done)
        if begun and begun[-1] == "reset of what stands still":
            assert rig.domains.state(web).state.name == "PAUSED", "what was reset while it stood still goes on"
        if done and done[-1] == "suspend":
            assert rig.domains.state(web).state.name in ("PAUSED", "RUNNING")


def _check_memory(rig: Rig, web: DomainIdentity, begun: list[str], done: list[str]) -> None:
    told = rig.domains.of(web).require_config().memory_now
    if "take memory" in done:
        assert told == 16384, "memory that was taken is told to be there"
    elif "set memory" in done:
        assert told == 32768 or (told == 16384 and "take memory" in begun), "a change is lost"
    run = rig.domains.of(web).run
    if run is not None:
        memory = cast("FakeGroup", run.container.group).memory
        assert memory.limits["memory"] == rig.domains.of(web).current.memory_now * 1024, (
            "a limit that nobody is told of"
        )


def _check_order(rig: Rig) -> None:
    active = {each.uuid for each in rig.domains.list(ListDomains.ACTIVE)}
    persistent = {each.name for each in rig.domains.list(ListDomains.PERSISTENT)}
    assert set(rig.guests()) == active, "guests and active domains differ"
    runs = {UUID(each.name) for each in rig.layout.running.iterdir()}
    assert runs == active, "run directories and active domains differ"
    files = {each.name for each in rig.layout.definitions.iterdir()} - {"autostart"}
    assert files == {f"{name}.xml" for name in persistent}, f"definitions: {files}"
    links = {each.name for each in rig.layout.autostart.iterdir()}
    assert links <= files, "an autostart link points nowhere"
    ids = {each.name for each in rig.preparation.ids.iterdir()}
    there = {str(each.uuid) for each in rig.domains.list()}
    assert ids <= there, "ids of a domain that is no more are not given back"
    for uuid in {WEB, MAIL, SHOP} - {each.uuid for each in rig.domains.list()}:
        assert not rig.preparation.owns_storage(uuid), "storage of a domain that is no more is left behind"
    marks = {each.name for each in rig.preparation.marks.iterdir()}
    transient = {str(each.uuid) for each in rig.domains.list(ListDomains.TRANSIENT)}
    assert marks <= transient, "a mark is left behind"
    if str(SHOP) in transient:
        assert marks == {str(SHOP)}, "storage that is to vanish would stay"


async def _check_usable(rig: Rig) -> None:
    for ref in rig.domains.list(ListDomains.ACTIVE):
        await rig.domains.destroy(ref)
    for ref in rig.domains.list():
        await rig.domains.start(ref)
        await rig.domains.destroy(ref)
        await rig.domains.undefine(ref)
    assert not list(rig.domains.list())
    assert not rig.guests()
    assert not list(rig.layout.running.iterdir())


def main(base: Path, stride: int) -> None:
    """Live until a life comes to its end."""
    lifecycle.DELAY_MAX = 0.01
    for number in itertools.count(1, stride):
        directory = base / str(number)
        directory.mkdir(parents=True)
        status = in_child(lambda place=directory, count=number: _lived(place, count))
        finished = status == 0
        if status not in (0, 9):
            sys.exit(f"life {number} itself failed: {status}")
        if in_child(lambda place=directory: asyncio.run(successor(place))) != 0:
            sys.exit(f"after a kill before change {number}: see above")
        shutil.rmtree(directory)
        if finished:
            print(number)
            return


def _lived(directory: Path, number: int) -> None:
    asyncio.run(life(directory, number))


def in_child(work: Any) -> int:
    """Return the exit status of a child that does the work."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except (InsulaError, AssertionError, OSError, TimeoutError):
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
