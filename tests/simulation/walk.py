"""A walk: one seed's worth of verbs, guests' doings and disasters, over one simulated host.

    python -m tests.simulation 17 # walk seed 17 again, and say what happens

Steps are a table; a seed, hypothesis and the real kernel's sample choose from it.
"""

import asyncio
import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from insula.layout import Layout
from tests import invariants
from tests.simulation import model
from tests.simulation.asking import asked
from tests.simulation.consoles import Consoles
from tests.simulation.daemon import SimulatedDaemon
from tests.simulation.disk import Disk, FileOperations
from tests.simulation.kernel import Kernel
from tests.simulation.model import Definition, DomainModel, End, Operation, any_definition, ending
from tests.simulation.networkmodel import Operation as NetworkOperation
from tests.simulation.networks import Ask as AskNetwork
from tests.simulation.networks import Networks
from tests.simulation.programs import Programs
from tests.simulation.statuses import CRASHED, ENDS, EXITED, KILLED
from tests.simulation.walking import Ask, Asked
from tests.simulation.watch import Watch
from tests.simulation.world import World

T = TypeVar("T")

UUIDS = {"web": UUID(int=1), "mail": UUID(int=2)}
SHORTLY = 0.1
"""Virtual seconds in which everything that is due is due at once."""
LONG = 400.0
"""Virtual seconds in which everything that is tried again has been tried again."""
TURNS_MAX = 20_000
"""Callbacks of one walk: more means that it never comes to rest."""


class Walk:
    """One host, its daemons one after another, and what must hold. say: told what happens."""

    def __init__(
        self,
        seed: int,
        *,
        layout: Layout,
        host_root: Path,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.world = World(seed)
        self.random = self.world.random
        self.operations = FileOperations(self.world, str(layout.root), memory=str(layout.run))
        self.kernel = Kernel(
            self.world,
            self.operations,
            boot=_boot(0),
            broke=self._broke,
            keeper_killed=self._keeper_killed,
            keeper_continues=self._continue_keeper,
        )
        self.host = self.kernel.host
        self.models = {name: DomainModel() for name in UUIDS}
        self.networks = Networks(self.kernel.links, self._ask_network, self.say)
        self.daemon: SimulatedDaemon | None = None
        self.keeper_stopped = False
        self.layout, self._host_root, self._say = layout, host_root, say
        self._titles = 0
        self._boots = 0
        self._watch, self._programs = Watch(self.host, self.say), Programs(self.host, self.say)
        self.consoles = Consoles(
            self.world,
            self.host,
            daemon=lambda: self.daemon if self.daemon is not None and self.daemon.serves else None,
            found=self._find,
            say=self.say,
        )
        self._dies_at: int | None = None
        self._blind = False
        """The living daemon began while files could not be read: it does not know all definitions."""
        self._troubled = False
        self.asked: set[tuple[UUID, End]] = set()
        self.storage_stays = False
        """Somebody undefined a domain and wanted its storage to stay."""
        self._found: AssertionError | None = None

    def say(self, text: str) -> None:
        if self._say is not None:
            self._say(f"{self.world.now:12.6f}  {text}")

    def _find(self, error: AssertionError) -> None:
        """Let what must not be end the walk."""
        self._found = error

    # What the kernel does to the keeper

    def _keeper_killed(self) -> None:
        self.keeper_stopped = False
        self._programs.keepers += 1
        self.consoles.keeper_died = True
        self.host.kill_keeper()

    def _continue_keeper(self) -> None:
        self.keeper_stopped = False
        if self.daemon is not None:
            self.world.soon(self.daemon.flush, owner=self.daemon)

    def _broke(self) -> None:
        """Something outside is broken: until all is well again, any verb may refuse."""
        self._troubled = True
        self.networks.trouble()
        for each in self.models.values():
            each.trouble()

    # Time

    def run(self, *, turns: int | None = None, seconds: float = 0.0) -> None:
        """Let things happen: so many callbacks, or all that are due within so many virtual seconds."""
        horizon = self.world.now + (seconds if turns is None else SHORTLY)
        left = TURNS_MAX if turns is None else turns
        while left:
            left -= 1
            daemon = self.daemon
            if daemon is not None and daemon.failed is not None and daemon.alive:
                self.say(f"the daemon cannot begin: {daemon.failed!r}")
                assert self._troubled, f"the daemon cannot begin: {daemon.failed!r}"
                daemon.alive = False
            if daemon is not None and not daemon.alive:
                self._bury()
                continue
            if daemon is None:
                event = self.world.next_event()
                if event is None or event > horizon:
                    break
                self.world.happen()
            elif not daemon.loop.turn(horizon):
                break
            else:
                if self._found is not None:
                    raise self._found
                if self.operations.troubled:
                    self.operations.troubled = False
                    self.consoles.disk_failed = True
                    self._blind |= not daemon.serves
                    self._broke()
                if daemon.alive:
                    self._watch.look(daemon)
                if self._dies_at is not None and self.world.turns >= self._dies_at:
                    self._dies_at = None
                    daemon.alive = False
        if self.daemon is not None and not self.daemon.alive:
            self._bury()
        if turns is None:
            pending = [] if self.daemon is None else self.daemon.loop.pending()
            assert left, f"it never comes to rest: {pending}"
            self.world.now = max(self.world.now, horizon)

    # Daemon and keeper

    def begin_daemon(self) -> None:
        if self.daemon is not None:
            return
        self.say("a daemon starts")
        self._blind = False
        self._watch.begin()
        if not (self.layout.run / "autostarted").exists():
            for each in self.models.values():
                each.befall("autostart", model.autostarted, may_fail=True)
        self.networks.begin(self.layout)
        self.daemon = SimulatedDaemon(
            self.world,
            self.host,
            links=self.kernel.links,
            layout=self.layout,
            host_root=self._host_root,
            keeper_stopped=lambda: self.keeper_stopped,
        )

    def _bury(self) -> None:
        assert self.daemon is not None
        self.say("the daemon is dead")
        self.operations.arm()
        self._programs.forget()
        self.consoles.forget()
        self._dies_at = None
        daemon, self.daemon = self.daemon, None
        with self._unexecuted_may_end():
            daemon.bury()
        self.networks.crash()
        for each in self.models.values():
            # Storage that was to vanish is noted to stay before its domain is defined: better a disk too many.
            self.storage_stays |= each.pending("define")
            each.crash()
            each.befall("goes with its client", model.client_ended)
        for uuid in daemon.unwritten():
            name = next(name for name, each in UUIDS.items() if each == uuid)
            self.models[name].invoke(
                Operation(name="is described as before", effect=model.written_or_not, by_guest=True)
            )

    @contextmanager
    def _unexecuted_may_end(self) -> Iterator[None]:
        """Whoever dies in the block may have been the last that could tell a guest to execute its program."""
        before = {each.uuid for each in self._watch.living()}
        yield
        for uuid in before - {each.uuid for each in self._watch.living()}:
            name = next(name for name, each in UUIDS.items() if each == uuid)
            self.say(f"{name}: its guest was held, and nobody is left who could let it go on")
            self.models[name].trouble()
            self.models[name].invoke(ending([End.CRASHED]))

    def kill_daemon(self) -> None:
        if self.daemon is not None:
            self.say("the daemon is killed")
            self.daemon.alive = False
            self._bury()

    def kill_daemon_later(self) -> None:
        """At some callback, or at some change of a file or the host, whichever comes."""
        if self.daemon is None:
            return
        if self.random.random() < 0.5:
            self._dies_at = self.world.turns + self.random.randrange(1, 40)
        else:
            self.operations.arm(dies=self.random.randrange(0, 25))

    def stop_daemon(self) -> None:
        """End it politely, with all that is under way."""
        daemon = self.daemon
        if daemon is None or not daemon.serves:
            return
        self.say("the daemon is told to end")
        stopping = daemon.begin(daemon.stop(), "stop")
        self.run(seconds=60)
        if self.daemon is daemon:
            assert stopping.done(), f"the daemon does not end: {daemon.loop.pending()}"
            stopping.result()
            daemon.alive = False
            self._bury()

    def reboot_host(self) -> None:
        """Everything ends at once; the disks are as they were, and what was in memory is gone."""
        self.say("the host reboots")
        if self.daemon is not None:
            self.kill_daemon()
        self._boots += 1
        self.keeper_stopped = False
        self.kernel.holds.clear()
        self.host.reboot(_boot(self._boots))
        shutil.rmtree(self.layout.run, ignore_errors=True)
        self.networks.reboot()
        for each in self.models.values():
            each.trouble()
            each.finish()
            each.befall("host reboots", model.host_ended)
            each.finish()

    def kill_keeper(self) -> None:
        if self.host.keeper is not None:
            self.say("the keeper is killed")
            self._broke()
            with self._unexecuted_may_end():
                self._keeper_killed()

    def stop_keeper(self) -> None:
        """It stands still, as after SIGSTOP, until it is told to go on."""
        if self.host.keeper is not None:
            self.say("the keeper is stopped")
            self._broke()
            self.keeper_stopped = True

    # Verbs

    def verb(self, name: str, operation: Operation, ask: Ask) -> None:
        """Ask for something, and go on; what is answered is held against the model."""
        daemon, known = self.daemon, self.models[name]
        if daemon is None or not daemon.serves:
            return
        if operation in (DESTROY, RESET):
            known.trouble()  # whatever waits for the guest gives up
        if (
            self._troubled
            or not daemon.settled
            or known.guest_acts
            or UUIDS[name] in self.kernel.holds
            or known.pending("destroy")
            or known.pending("reset")
        ):
            operation = replace(operation, may_fail=True)
        began = self.world.now

        def answered(error: BaseException | None) -> None:
            # A disk too many is better than one too few: what was noted to stay may not be noted to vanish again.
            self.storage_stays |= error is not None and self._troubled and operation.name.startswith("define")
            if operation.name == "destroy" and not self._troubled and daemon.settled:
                invariants.destroy_waits_for_no_guest(self.world.now - began)

        asked(daemon, name, known, operation, ask(daemon), say=self.say, find=self._find, then=answered)

    def _ask_network(self, name: str, operation: NetworkOperation, ask: AskNetwork) -> None:
        """Ask for something about a network, and go on; what is answered is held against the model."""
        daemon, known = self.daemon, self.networks.models[name]
        if daemon is None or not daemon.serves:
            return
        if self._troubled or not daemon.settled:
            operation = replace(operation, may_fail=True)
        services = daemon.services

        async def work() -> None:
            await ask(services)

        asked(daemon, name, known, operation, work(), say=self.say, find=self._find)

    def document(self) -> Definition:
        """Return a definition that no domain has had."""
        self._titles += 1
        return any_definition(self.random, f"t{self._titles}", networks=self.networks.active())

    def choice(self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def hang_up(self, name: str) -> None:
        """Whoever asked for something with a domain is gone, and waits for no answer; what is bound to it ends."""
        daemon, known, uuid = self.daemon, self.models[name], UUIDS[name]
        if daemon is None or not daemon.serves:
            return
        self.say(f"{name}: its client hangs up")
        calls = [each for each in daemon.calls if each.get_name().endswith(name) and not each.done()]
        for call in calls:
            call.cancel()

        closed = daemon.hang_up(uuid)

        async def ended() -> None:
            await asyncio.gather(*calls, return_exceptions=True)
            await closed()

        may_fail = bool(calls) or self._troubled or not daemon.settled or known.guest_acts or uuid in self.kernel.holds
        stays = (lambda state: state, _bound_ended) if may_fail else ()
        known.befall("its client is gone", model.client_ended, others=stays)
        daemon.begin(ended(), f"end of the client of {name}")

    # Guests

    def execute(self, name: str, operation: Operation) -> None:
        """Have a program put into a guest, and wait for its end."""
        daemon = self.daemon

        async def asked(_: Asked) -> None:
            assert daemon is not None
            keepers = self._programs.keepers
            self._programs.began(daemon, name, await daemon.execute(UUIDS[name]), keepers=keepers)

        self.verb(name, operation, asked)

    def end_program(self, name: str, status: int) -> None:
        """One of a guest's programs ends by itself, if one may."""
        self._programs.end(str(UUIDS[name]), status)

    def end_guest(self, name: str, status: int) -> None:
        """A guest's init ends by itself, if it runs and may."""
        uuid = UUIDS[name]
        process = self.host.guests().get(str(uuid))
        if process is None or not process.executed or (self.host.group(process.group).frozen and status != KILLED):
            return
        self.say(f"{name}: its guest ends with {status:#x}")
        asked = [end for end in End if (uuid, end) in self.asked and status in (EXITED, CRASHED)]
        known = self.models[name]
        known.trouble()
        known.invoke(ending([ENDS[status], *asked]))
        self.host.end(process, status)
        self.kernel.let_go(uuid)

    def hold_freezer(self, name: str) -> None:
        """A guest has a process in the kernel that does not let itself be frozen, for as long as it likes."""
        self.say(f"{name}: nobody can freeze its guest now")
        self.models[name].trouble()
        self.kernel.holds.setdefault(UUIDS[name], [])

    # Disasters

    def set_disk(self, state: Disk) -> None:
        self.say(f"the disk is {state.name.lower()}")
        self.operations.state = state
        if state is not Disk.SOUND:
            self._broke()

    def fail_soon(self) -> None:
        """Some operations to come fail, on files or on the host, whatever they are."""
        codes = [errno.ENOSPC, errno.EIO, errno.EMFILE]
        fails = {self.random.randrange(30): self.random.choice(codes) for _ in range(self.random.randrange(1, 4))}
        self.say(f"operations to come fail: {fails}")
        self._broke()
        self.operations.arm(fails=fails)

    def refuse_soon(self, what: str | None = None) -> None:
        """The kernel refuses the next clone, group, exec or keeper, or a keeper what it is to adopt."""
        what = what or self.random.choice(("make", "clone", "execute", "remove", "label", "freeze", "start"))
        self.say(f"the next '{what}' is refused")
        self._broke()
        self.kernel.refusals[what] = self.random.choice((errno.ENOMEM, errno.EAGAIN, errno.EBUSY))

    # At rest

    def rest(self) -> None:
        """Let all be well again, and everything that was tried again come to its end; then look at everything."""
        self.say("all is well again")
        self.operations.state = Disk.SOUND
        self.operations.arm()
        self.networks.add_own_bridge()
        self.kernel.refusals.clear()
        self._dies_at = None
        for uuid in list(self.kernel.holds):
            self.kernel.let_go(uuid)
        if self.keeper_stopped:
            self._continue_keeper()
        self.begin_daemon()
        self.run(seconds=LONG)
        if self.daemon is None:  # one that had begun while something was broken gave up
            self.begin_daemon()
            self.run(seconds=LONG)
        if self.daemon is not None and self.daemon.settled:  # the next one knows nothing of its programs
            self._programs.check_at_rest(self.daemon)
        if self._blind or self._troubled:  # what could not be read, or be removed, is the next daemon's
            self.stop_daemon()
            self.begin_daemon()
            self.run(seconds=LONG)
        self._troubled = False
        self.check_at_rest()

    def pause(self) -> None:
        """Let what is under way come to its end, and look, if nothing is broken."""
        self.run(seconds=5.0)
        if self.daemon is not None and self.daemon.settled and not (self._troubled or self.kernel.holds or self._blind):
            self.run(seconds=LONG)
            if self.daemon is not None:
                self.check_at_rest()

    def check_at_rest(self) -> None:
        daemon = self.daemon
        if daemon is None or not daemon.settled:
            raise AssertionError(f"no daemon serves: {daemon and daemon.loop.pending()}")
        for name, known in self.models.items():
            assert known.quiet, f"never answered: {known.history}"
            known.finish()
            known.see(daemon.state(UUIDS[name]))
        self.networks.check_at_rest(daemon.services, self.layout)
        self.asked.clear()
        self._watch.at_rest(daemon)
        self._programs.check_at_rest(daemon)
        self.consoles.check_at_rest(daemon)

    def close(self) -> None:
        """Take back what the walk used."""
        if self.daemon is not None:
            self.daemon.alive = False
            self.daemon.bury()
            self.daemon = None
        self.host.close()


DESTROY = Operation(name="destroy", effect=model.destroy, halves=(model.destroy, model.ended(End.CRASHED)))
RESET = Operation(
    name="reset",
    effect=model.reset,
    refuses=model.may_lack_its_network,
    halves=(model.over, model.ended(End.CRASHED)),  # it is killed first: then what follows a kill may
)
UNDEFINE = Operation(name="undefine", effect=model.undefine)


def _bound_ended(state: model.State) -> model.State | None:
    """What was killed with its client, and nobody lived to write down why, counts as crashed."""
    return model.ended(End.CRASHED)(state) if state.bound else state


def _boot(number: int) -> str:
    """Return the id of a boot of the host."""
    return str(UUID(int=1 << 64 | number))
