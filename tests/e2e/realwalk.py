"""A walk (tests/simulation) on a real host: virsh asks, and what daemon and kernel say is held against the model.

A verb is asked after the other, and disks stay sound; daemon and keeper die as they do in the simulation.
"""

import asyncio
import contextlib
import copy
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from insula.model.domain import DomainDefinition
from tests import truth
from tests.e2e.realnetworks import RealNetworks
from tests.insulad import Insulad
from tests.simulation import model
from tests.simulation.disk import Disk
from tests.simulation.documents import DEVICE_XML, document, understood
from tests.simulation.model import (
    Definition,
    DomainModel,
    End,
    Operation,
    Run,
    State,
    Where,
    any_definition,
    autostarted,
    ending,
)
from tests.simulation.networkmodel import NetworkModel
from tests.simulation.networkmodel import Operation as NetworkOperation
from tests.simulation.possible import Result, UnexplainedError
from tests.simulation.statuses import ENDS, KILLED, POWERED_OFF, REBOOTED
from tests.simulation.walk import UUIDS
from tests.simulation.walking import Ask, Looking
from tests.testhost import TestHost
from tests.waiting import patience, scaled

T = TypeVar("T")
_AFFECT = {
    Where.CURRENT: ("--current",),
    Where.LIVE: ("--live",),
    Where.CONFIG: ("--config",),
    Where.BOTH: ("--live", "--config"),
}
_MAGIC = {POWERED_OFF: 0x4321FEDC, REBOOTED: 0x01234567}
"""What reboot(2) is told, by the wait status of the init that it ends."""
_REBOOT = "import ctypes, sys; ctypes.CDLL(None).reboot(int(sys.argv[1]))"


class RefusedError(Exception):
    """virsh failed; what it said."""


class RealDaemon:
    """Verbs asked by virsh."""

    def __init__(self, insulad: Insulad, roots: dict[str, Path]) -> None:
        self._insulad = insulad
        self._roots = roots

    def _virsh(self, *words: str) -> str:
        result = self._insulad.virsh(*words, check=False, seconds=90)
        if result.returncode:
            raise RefusedError(result.stderr.strip())
        return result.stdout

    def _document(self, uuid: UUID, name: str, definition: Definition) -> str:
        path = self._insulad.prefix.with_name(f"{name}.xml")
        path.write_text(document(uuid, name, definition, root=str(self._roots[name])))
        return str(path)

    async def define(self, uuid: UUID, name: str, definition: Definition) -> None:
        self._virsh("define", self._document(uuid, name, definition))

    async def create(self, uuid: UUID, name: str, definition: Definition, *, paused: bool, bound: bool = False) -> None:
        assert not bound, "virsh hangs up once it has its answer"
        self._virsh("create", self._document(uuid, name, definition), *["--paused"] * paused)

    async def undefine(self, uuid: UUID, *, discard: bool = False) -> None:
        self._virsh("undefine", str(uuid))

    async def set_autostart(self, uuid: UUID, on: bool) -> None:
        self._virsh("autostart", str(uuid), *["--disable"] * (not on))

    async def start(self, uuid: UUID, *, paused: bool, bound: bool = False) -> None:
        assert not bound, "virsh hangs up once it has its answer"
        self._virsh("start", str(uuid), *["--paused"] * paused)

    async def tune(self, uuid: UUID, where: Where, *, memory: int | None = None, shares: int | None = None) -> None:
        if memory is not None:
            self._virsh("setmem", str(uuid), f"{memory}MiB", *_AFFECT[where])
        if shares is not None:
            self._virsh("schedinfo", str(uuid), "--set", f"cpu_shares={shares}", *_AFFECT[where])

    async def equip(self, uuid: UUID, where: Where, device: str, *, there: bool) -> None:
        path = self._insulad.prefix.with_name(f"{device}.xml")
        path.write_text(DEVICE_XML[device])
        self._virsh("attach-device" if there else "detach-device", str(uuid), str(path), *_AFFECT[where])

    async def destroy(self, uuid: UUID) -> None:
        self._virsh("destroy", str(uuid))

    async def suspend(self, uuid: UUID) -> None:
        self._virsh("suspend", str(uuid))

    async def resume(self, uuid: UUID) -> None:
        self._virsh("resume", str(uuid))

    async def shutdown(self, uuid: UUID) -> None:
        self._virsh("shutdown", str(uuid))

    async def reboot(self, uuid: UUID) -> None:
        self._virsh("reboot", str(uuid))

    async def reset(self, uuid: UUID) -> None:
        self._virsh("reset", str(uuid))

    def state(self, uuid: UUID) -> State:
        """Return what a client can see of a domain."""
        if str(uuid) not in self._virsh("list", "--all", "--uuid").split():
            return State()
        said = dict(line.split(":", 1) for line in self._virsh("dominfo", str(uuid)).splitlines() if ":" in line)
        told = {key.strip(): value.strip() for key, value in said.items()}
        persistent = told["Persistent"] == "yes"
        run = {"running": Run.RUNNING, "paused": Run.PAUSED}.get(told["State"], Run.OFF if persistent else Run.KEPT)
        return State(
            defined=self._definition(uuid, "--inactive") if persistent else None,
            autostart=told["Autostart"] == "enable",
            run=run,
            live=self._definition(uuid) if run in model.ON else None,
        )

    def _definition(self, uuid: UUID, *words: str) -> Definition:
        return understood(DomainDefinition.load(self._virsh("dumpxml", str(uuid), *words)))


class RealWalk:
    """See tests.simulation.walk.Walk. say: told what happens."""

    def __init__(
        self, insulad: Insulad, host: TestHost, roots: dict[str, Path], seed: int, say: Callable[[str], None]
    ) -> None:
        self.models = {name: DomainModel() for name in UUIDS}
        self.asked: set[tuple[UUID, End]] = set()
        self.storage_stays = False
        self._insulad, self._daemon, self._say = insulad, RealDaemon(insulad, roots), say
        self._chance = random.Random(seed)
        self._titles = 0
        self._troubled = False
        self._doom: threading.Thread | None = None
        self.networks = RealNetworks(insulad, host, self._ask_network, say)
        self._stopped: int | None = None
        """A keeper that may stand still."""

    def document(self) -> Definition:
        self._titles += 1
        return any_definition(self._chance, f"t{self._titles}", networks=self.networks.active())

    def choice(self, values: Sequence[T]) -> T:
        return self._chance.choice(values)

    # Verbs

    def verb(self, name: str, operation: Operation, ask: Ask) -> None:
        if self._insulad.process is None:
            return
        known = self.models[name]
        may_fail = self._troubled or known.guest_acts or operation.name in ("shutdown", "reboot")
        number = known.invoke(replace(operation, may_fail=True) if may_fail else operation)
        try:
            asyncio.run(ask(self._daemon))
        except RefusedError as error:
            self._say(f"{name}: {operation.name} failed: {error}")
            if self._buried():
                return
            known.respond(number, Result.FAILED)
        else:
            self._say(f"{name}: {operation.name} is done")
            known.respond(number, Result.DONE)
            if operation.name in ("shutdown", "reboot"):  # whether, and when, it obeys is the guest's own
                way = End.SHUTDOWN if operation.name == "shutdown" else End.REBOOTED
                known.invoke(replace(ending([way]), may_fail=True, lingers=True))
            self._buried()

    def _ask_network(self, known: NetworkModel, name: str, operation: NetworkOperation, words: tuple[str, ...]) -> None:
        if self._insulad.process is None:
            return
        number = known.invoke(replace(operation, may_fail=True) if self._troubled or self._doom else operation)
        result = self._insulad.virsh(*words, check=False, seconds=90)
        self._say(f"{name}: {operation.name} is done" if result.returncode == 0 else f"{name}: {result.stderr.strip()}")
        if result.returncode and self._buried():
            return
        known.respond(number, Result.FAILED if result.returncode else Result.DONE)
        self._buried()

    # Guests

    def execute(self, name: str, operation: Operation) -> None:
        """Not here: see tests/e2e/test_command_line.py."""

    @property
    def consoles(self) -> Looking:
        raise NotImplementedError("see tests/e2e/test_console_terminals.py")

    def end_program(self, name: str, status: int) -> None:
        """Not here, likewise."""

    def end_guest(self, name: str, status: int) -> None:
        guest = next((each for each in truth.living(self._insulad.layout) if each.uuid == UUIDS[name]), None)
        if guest is None or (guest.frozen and status != KILLED):
            return
        known = self.models[name]
        known.trouble()
        self._say(f"{name}: its guest ends with {status:#x}")
        known.invoke(ending([ENDS.get(status, End.CRASHED) if status in _MAGIC else End.CRASHED]))
        if status in _MAGIC:
            inside = ["nsenter", "-t", str(guest.pid), "-p", "--", sys.executable, "-c", _REBOOT, str(_MAGIC[status])]
            subprocess.run(inside, check=False, timeout=patience(30))
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(guest.pid, signal.SIGKILL)

    def hold_freezer(self, name: str) -> None:
        """Not here: see tests/e2e/test_hostile_guests.py."""

    def hang_up(self, name: str) -> None:
        """Not here: virsh hangs up after each word."""

    def reboot_host(self) -> None:
        """Not here: the host is not ours to reboot."""

    # Deaths

    def begin_daemon(self) -> None:
        if self._insulad.process is None:
            self._say("a daemon starts")
            if not (self._insulad.layout.run / "autostarted").exists():
                for each in self.models.values():
                    each.befall("autostart", autostarted, may_fail=True)
            self.networks.begin()
            self._insulad.start()

    def stop_daemon(self) -> None:
        if self._insulad.process is not None and not self._buried():
            self._say("the daemon is told to end")
            self._insulad.stop()
            self._crashed()

    def kill_daemon(self) -> None:
        if self._insulad.process is not None and not self._buried():
            self._say("the daemon is killed")
            self._insulad.kill()
            self._crashed()

    def kill_daemon_later(self) -> None:
        process = self._insulad.process
        if process is None or self._doom is not None:
            return

        def kill() -> None:
            time.sleep(delay)
            process.kill()

        delay = self._chance.random() * scaled(0.3)
        self._doom = threading.Thread(target=kill)
        self._doom.start()

    def _buried(self) -> bool:
        """Whether the daemon is dead, or about to be; it has been waited for then."""
        process = self._insulad.process
        if self._doom is None or process is None:
            return False
        if process.poll() is None and self._doom.is_alive() and self._chance.random() < 0.5:
            return False
        self._doom.join()
        process.wait(patience(30))
        self._doom, self._insulad.process = None, None
        self._say("the daemon is dead")
        self._crashed()
        return True

    def _crashed(self) -> None:
        self.networks.crash()
        for each in self.models.values():
            each.crash()

    def kill_keeper(self) -> None:
        self._signal_keeper(signal.SIGKILL)

    def stop_keeper(self) -> None:
        self._signal_keeper(signal.SIGSTOP)

    def _signal_keeper(self, number: signal.Signals) -> None:
        keeper = self._insulad.keeper_pid()
        if keeper is None:
            return
        self._say(f"the keeper gets {number.name}")
        self._troubled = True
        for each in self.models.values():
            each.trouble()
        # One that waits right before its program ends when nobody is left who could let it go on.
        if number is signal.SIGKILL and self._insulad.process is None:
            for guest in truth.living(self._insulad.layout):
                name = next(name for name, uuid in UUIDS.items() if uuid == guest.uuid)
                self.models[name].invoke(replace(ending([End.CRASHED]), may_fail=True))
        os.kill(keeper, number)
        self._stopped = keeper if number is signal.SIGSTOP else None

    def set_disk(self, state: Disk) -> None:
        """Not here: see tests/e2e/test_failing_disks.py."""

    def fail_soon(self) -> None:
        """Not here: see tests/e2e/test_injection.py."""

    def refuse_soon(self, what: str | None = None) -> None:
        """Not here, likewise."""

    # Time

    def run(self, *, turns: int | None = None, seconds: float = 0.0) -> None:
        time.sleep(min(seconds, 0.2))

    def pause(self) -> None:
        if self._troubled or self._insulad.process is None or self._doom is not None:
            time.sleep(0.2)
        else:
            self.rest()

    def rest(self) -> None:
        """Let everything come to its end, and look."""
        if self._doom is not None:
            self._doom.join()
            self._buried()
        if self._stopped is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._stopped, signal.SIGCONT)
            self._stopped = None
        self.begin_daemon()
        self._say("all is well")
        self._understood(time.monotonic() + scaled(60))
        self.networks.rest()
        truth.check(self._insulad.layout)
        self._troubled = False

    def _understood(self, deadline: float) -> None:
        """Wait until what is seen is what may be seen at rest."""
        for name, known in self.models.items():
            while True:
                state, tried = self._daemon.state(UUIDS[name]), copy.deepcopy(known)
                try:
                    tried.finish()
                    if state.run is Run.OFF and state not in tried.states():
                        state = state._replace(run=Run.KEPT)  # a persistent one looks the same, kept or not
                    tried.see(state)
                except UnexplainedError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
                else:
                    self.models[name] = tried
                    break
