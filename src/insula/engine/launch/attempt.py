"""One launch under way: the plan's steps performed in order, and taken back in reverse if one of them fails."""

import errno
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from insula.engine.facts import Facts
from insula.engine.fragments.guestmounts import ROOT
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import IMAGE, Message, Verb
from insula.engine.launch.holdings import Holding
from insula.engine.launch.machineregister import Machine
from insula.engine.launch.readyscopes import ReadyScopes
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import ContainerRecord, Running, boot_id
from insula.engine.machineviews import MachineViews
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec
from insula.engine.steps.host.groups import group_of
from insula.engine.steps.host.hoststep import HostContext, HostStep, Offload, inline
from insula.engine.steps.host.imagedevices import numbered
from insula.engine.steps.step import Step
from insula.errors import InsulaError, KeeperError, StepError
from insula.kernel.bpf import LoadedPrograms
from insula.kernel.cgroups import machine_name
from insula.kernel.fds import NO_FD, Fd, Reserve, close_all, sealed_file
from insula.kernel.localfiles import local_mount
from insula.kernel.process import start_time

logger = logging.getLogger(__name__)


WhileInside = Callable[[Running], None]
"""Is given a container, of which nobody has anything open yet, while its first process performs the steps inside."""


class LaunchAttempt:
    """An attempt to launch a container under a chosen id. Used once."""

    def __init__(
        self,
        *,
        plan: LaunchPlan,
        program: Program,
        spec: ContainerSpec,
        facts: Facts,
        link: KeeperLink,
        interfaces: InterfacePerformer | None,
        identity: int,
        processors: str | None,
        launch: str,
        reserve: Reserve,
        release: Release,
        scopes: ReadyScopes,
        loaded: LoadedPrograms,
        views: MachineViews | None = None,
        offload: Offload = inline,
    ) -> None:
        """launch: names this attempt; release: takes back what it made, and nothing of another one's; program: what its
        first process plays, the plan's steps inside."""
        self._launch = launch
        self._reserve = reserve
        self._plan = plan
        self._program = program
        self._spec = spec
        self._link = link
        self._context = HostContext(
            facts=facts,
            performer=interfaces,
            identity=identity,
            launch=launch,
            processors=processors,
            fetch_netlink=self._fetch_netlink,
            offload=offload,
            scopes=scopes,
            loaded=loaded,
            views=views,
        )
        self._release = release
        self._holdings: list[Holding] = []
        self._underway: tuple[Holding, ...] = ()
        """What the step that is being performed may leave, should it fail halfway."""
        self.left_behind = False
        """Whether something of it could not be taken back."""
        self._birth: int | None = None
        self._born = 0

    async def run(self, inherited: Sequence[int], *, hold: bool, while_inside: WhileInside) -> Running:
        """Perform the plan. inherited: init's fds from 3 on; hold: leave init right before its program; while_inside:
        what is to be done with what is returned while the child performs its steps.

        Raises: StepError, or what a step raised that speaks for itself; everything is undone then.
        """
        try:
            for step in self._plan.before:
                await self._perform(step)
            self._ask_to_clone()
            for step in self._plan.meanwhile:
                if step.needs_child and self._context.child < 0:
                    await self._await_birth()
                await self._perform(step)
            if self._context.child < 0:
                await self._await_birth()
            running = await self._go(inherited, hold=hold, while_inside=while_inside)
            self._register()
            return running
        except BaseException as error:
            starved = self._starved()  # of the group, which goes now
            with self._reserve.spent():
                await self._take_back(error)
            if starved and isinstance(error, StepError | KeeperError):
                raise StepError(f"{error}: the kernel killed it for want of memory; it needs a higher limit") from error
            raise
        finally:
            self._context.close()

    def _starved(self) -> bool:
        """Whether the kernel has killed something of the guest for want of memory."""
        group = self._context.group
        with suppress(OSError):
            return group is not None and group.oom_kills > 0
        return False

    async def _perform(self, step: HostStep) -> None:
        try:
            self._underway = step.announce(self._context.identity)
            made = await self._made_by(step)
        except OSError as error:
            raise step_failed(step, error) from error
        self._holdings += [each for each in made if each not in self._holdings]
        self._underway = ()

    async def _made_by(self, step: HostStep) -> tuple[Holding, ...]:
        return await step.perform(self._context)

    def _ask_to_clone(self) -> None:
        clone = self._plan.clone
        image = sealed_file("insula-program", self._program.image)
        fds = {**self._context.clone_fds, IMAGE: image}
        opened = [image]
        try:
            for kind, path in clone.shared:
                fd = fds[f"shared:{kind}"] = _open_namespace(kind, path)
                opened.append(fd)
            body = {
                "uuid": self._spec.uuid,
                "launch": self._launch,
                "namespaces": clone.namespaces,
                "owner": clone.owner,
                "pid": self._context.identity if clone.numbered else None,
            }
            self._birth = self._link.ask(Verb.LAUNCH, body, fds)
        finally:
            close_all(opened)

    async def _birth_answered(self, birth: int) -> Message:
        """Return the answer; asked again, once, where nobody was cloned as what clones had died with its orders."""
        try:
            return await self._link.answer(birth)
        except StepError as error:
            if error.errno != errno.ECHILD:
                raise
        self._ask_to_clone()
        assert self._birth is not None
        return await self._link.answer(self._birth)

    async def _await_birth(self) -> None:
        if self._birth is None:
            raise RuntimeError("nobody was asked to clone")
        try:
            message = await self._birth_answered(self._birth)
        except InsulaError as error:
            self._birth = None
            if not isinstance(error, StepError):
                raise
            text = f"cannot {self._plan.clone}: {error}"
            raise StepError(text, step=str(self._plan.clone), errno=error.errno) from error
        self._birth = None
        self._context.child = int(message.body["pid"])
        try:
            self._born = self._context.born = self._opened(self._context.child)
        except OSError as error:
            # What it died of is told when it is taken back.
            text = f"cannot {self._plan.clone}: the process ended at once"
            raise StepError(text, step=str(self._plan.clone), errno=errno.ESRCH) from error

    def _opened(self, child: int) -> int:
        """Open the first process' directory, and return its start time. Raises: OSError if it has ended."""
        self._context.process = Fd(os.open(f"/proc/{child}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return start_time(child)

    async def _fetch_netlink(self) -> Fd:
        message = await self._answer_of_steps(self._link.ask(Verb.NETLINK, self._meant(), {}))
        return message.fds.pop("netlink")

    def _meant(self) -> dict[str, str]:
        """The fields by which the keeper knows this very child."""
        return {"uuid": self._spec.uuid, "launch": self._launch}

    async def _answer_of_steps(self, number: int) -> Message:
        return await answer_of_program(self._link, number, self._program)

    async def _go(self, inherited: Sequence[int], *, hold: bool, while_inside: WhileInside) -> Running:
        """Let the child perform its steps, and do meanwhile what need not wait for them."""
        context = self._context
        fds = {f"inherited{number}": Fd(fd) for number, fd in enumerate(inherited)} | context.fds
        fds = {name: fds[name] for name in (*self._plan.staged, *self._program.passed)}
        body = {**self._meant(), "locked_trees": self._plan.staged}
        number = self._link.ask(Verb.GO, body, fds)
        running: Running | None = None
        message: Message | None = None
        try:
            try:
                running = self._described(hold=hold, mount=self._readable_mount())
                while_inside(running)
            finally:
                message = await self._answer_of_steps(number)
        except BaseException:
            for opened in (running, message):
                if opened is not None:
                    opened.close()
            raise
        running.pidfd, running.channel = message.fds.pop("pidfd"), message.fds.pop("channel", NO_FD)
        running.consoles = list(message.fds.values())
        return running

    def _described(self, *, hold: bool, mount: int | None) -> Running:
        """Return the container as it will be, with nothing of it open yet."""
        context = self._context
        group = group_of(context)
        record = ContainerRecord(
            spec=numbered(self._spec, context),
            id=context.child,
            pid=context.child,
            born=self._born,
            boot=boot_id(),
            group=group.path,
            launch=self._launch,
            holdings=tuple(self._holdings),
            guards_loops=True,
        )
        notices, context.notices = context.notices, NO_FD
        view, context.view = context.view, {}
        return Running(
            record=record,
            group=group,
            notices=notices,
            view=view,
            awaiting_exec=hold,
            mount=mount,
            unmet=tuple(context.unmet),
        )

    def _readable_mount(self) -> int | None:
        """Return the mount of a root whose files may be read while the guest runs: of one without the host's powers.

        With them it could have the kernel ask it before anybody opens a file (fanotify(7), FAN_OPEN_PERM).
        """
        root = self._context.fds.get(ROOT)
        return None if self._spec.idmap is None or root is None else local_mount(root)

    def _register(self) -> None:
        """Have systemd know whose scope it is, behind the answer: what it does would compete with the start."""
        context = self._context
        if context.scopes is not None and context.scope is not None:
            machine = Machine(
                name=machine_name(context.child, self._spec.name),
                uuid=self._spec.uuid,
                leader=context.child,
                unit=context.scope.unit,
            )
            context.scopes.register(machine, context.facts.manager)

    async def _take_back(self, failure: BaseException) -> None:
        """End the child, and take away all that was made. What stays is added to the failure's notes.

        Raises: StepError with what the child died of, if that is why something failed on this side.
        """
        context = self._context
        cause, keeper_died = None, isinstance(failure, KeeperError)
        try:
            cause = await self._abort()
        except KeeperError:
            keeper_died = True
        except (OSError, InsulaError) as error:
            self._note(failure, error)
        if keeper_died:
            # It may be the next keeper that has answered: that one knows of no child.
            self._kill_group()
        if context.views is not None:
            context.views.forget(self._launch)
        if context.scope is not None:
            # Else its placeholder would be taken for a stranger in it.
            await context.offload(context.scope.end)
        for stays in await self._release.walk((*self._holdings, *self._underway), self._launch):
            self._note(failure, stays)
        if cause is not None and isinstance(failure, Exception):
            raise self._named(cause) from failure

    def _note(self, failure: BaseException, error: Exception) -> None:
        self.left_behind = True
        failure.add_note(f"taking back failed too: {error}")
        logger.warning("launch of %s: taking back failed: %s", self._spec.name, error)

    async def _abort(self) -> StepError | None:
        """End the child, if there is or may be one, and see it reaped; return what it died of before that."""
        if self._birth is None and self._context.child < 0:
            return None
        number = self._link.ask(Verb.ABORT, self._meant(), {})
        if self._birth is not None:
            with suppress(InsulaError):
                (await self._link.answer(self._birth)).close()
        answer = await self._link.answer(number)
        answer.close()
        failure = answer.body.get("failure")
        if failure is None:
            return None
        return StepError(failure["text"], step=str(failure.get("step", "")), errno=failure.get("errno") or 0)

    def _kill_group(self) -> None:
        """Kill the child without its keeper, which has died: whoever reaps it then, its group empties."""
        if self._context.group is not None:
            with suppress(
                OSError
            ):  # whatever keeps it from being killed will keep its group from being removed, and be told
                self._context.group.kill()

    def _named(self, error: StepError) -> StepError:
        return named_failure(error, self._program)


def announced(plan: LaunchPlan, identity: int) -> tuple[Holding, ...]:
    """Return what there may be of a launch that was cut short, in the order it is made. Raises: StepError."""
    holdings: dict[Holding, None] = {}
    for step in (*plan.before, *plan.meanwhile):
        try:
            holdings |= dict.fromkeys(step.announce(identity))
        except OSError as error:
            raise step_failed(step, error) from error
    return tuple(holdings)


async def answer_of_program(link: KeeperLink, number: int, program: Program) -> Message:
    """Return the answer to a request for which a program is played inside.

    Raises: StepError that names the step which failed.
    """
    try:
        return await link.answer(number)
    except StepError as error:
        named = named_failure(error, program)
        if named is error:
            raise
        raise named from error


def named_failure(error: StepError, program: Program) -> StepError:
    """Return the error with the words of the step that the failed record is of; itself if no record is to blame."""
    if not error.step.isdecimal() or int(error.step) >= program.records:
        return error
    return program.failure(int(error.step), error.errno)


def step_failed(step: Step, error: OSError) -> StepError:
    """Return the error of a step that the kernel refused."""
    where = f": {error.filename}" if error.filename else ""
    return StepError(f"cannot {step}: {error.strerror}{where}", step=str(step), errno=error.errno or 0)


def _open_namespace(kind: str, path: str) -> Fd:
    try:
        return Fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        text = f"cannot open the {kind} namespace to share: {error.strerror}: {path}"
        raise StepError(text, step=f"share {kind}", errno=error.errno or 0) from error
