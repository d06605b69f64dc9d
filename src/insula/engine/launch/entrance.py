"""Starting processes inside running containers: the daemon's side of it."""

import errno
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from insula.engine.accounts import account_content
from insula.engine.enter.admittedstreams import admitted
from insula.engine.enter.attachment import (
    Attachment,
    EnteredProcess,
    Login,
    attachment_steps,
    entering_id,
    group_fds,
)
from insula.engine.facts import Facts
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import IMAGE, Verb
from insula.engine.launch.attempt import answer_of_program, step_failed
from insula.engine.launch.programs import Programs, room_for
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.accountlook import AccountFinder
from insula.engine.look.looking import Sight
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec, Process
from insula.engine.steps.guest.confinement import BecomeUser
from insula.engine.steps.guest.tracing import TRACER
from insula.errors import InsulaError, KeeperError, OperationInvalidError, StepError
from insula.kernel.fds import Fd, close_all
from insula.kernel.sealedfiles import SealedFiles

_PROGRAMS_MAX = 64
"""Programs, and files of them, that are kept for those who enter in the same way again."""
_FILES_SIZE = 4 << 20
"""Bytes of those files together."""
_PROGRAM_SIZE = 64 << 10
"""Bytes of the largest program that is kept: a client's arguments and variables, of any length, are part of it."""
_KEPT = "insula-entering"
"""What those files are called, for who looks at our descriptors."""
_Named = Callable[[int], str]
"""Returns an id by a number that no other has."""
_Key = tuple[int, Attachment, Login, int, int]


class Entrance:
    """Has processes enter.

    link: to the keeper that clones them; programs: compiles what they play; find_account: looks into running guests for
    who their users are; permitted: the mask of the keeper's capabilities.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        link: KeeperLink,
        programs: Programs,
        find_account: AccountFinder,
        permitted: Callable[[], int],
    ) -> None:
        self._facts = facts
        self._programs = programs
        self._link = link
        self._find_account = find_account
        self._permitted = permitted
        # Microseconds since 1970: no id of an earlier daemon comes again, and it fits 64 bits.
        self._executions = itertools.count(time.time_ns() // 1000)
        self._files = SealedFiles(_PROGRAMS_MAX, _FILES_SIZE)
        self._known: OrderedDict[_Key, tuple[ContainerSpec, Program]] = OrderedDict()
        """The latest programs by what they are made of; the spec, by which it is the same one."""

    def close(self) -> None:
        """Let go of what is kept for the next."""
        self._files.close()

    async def execute(
        self,
        running: Running,
        process: Process,
        *,
        stdio: tuple[int, int, int] | None = None,
        terminal: tuple[int, int] | None = None,
        capabilities: frozenset[str] | None = None,
        no_new_privileges: bool | None = None,
        detached: bool = False,
        probing: bool = False,
        asked: list[str] | None = None,
        tracer: int | None = None,
    ) -> EnteredProcess:
        """Start a process inside and return once it is executed; the keeper tells when it has ended.

        stdio: its streams, which stay the caller's: pipes, or the null device (`enter.admittedstreams`); terminal: rows
        and columns of a terminal instead. capabilities: no more than init's, None for all of these. detached,
        probing: see `enter.attachment`. asked: gets the ids that the keeper was asked to start it by, also for who is
        cancelled meanwhile. tracer: a line on which the process says that it is there, and waits to be traced
        (`steps.guest.tracing`); the caller's.
        Raises: StepError naming the step; OperationInvalidError if the container does not run; InvalidArgumentError for
        a stream that no guest is given.
        """
        if (stdio is None) == (terminal is None):
            raise OperationInvalidError("a process is given either streams or a terminal")
        running.refuse_unless_entered()
        ids = [] if asked is None else asked
        named = partial(entering_id, detached=detached, probing=probing)
        attachment = Attachment(
            process=process,
            terminal=terminal,
            capabilities=capabilities,
            no_new_privileges=no_new_privileges,
            traced=tracer is not None,
        )
        further = {} if tracer is None else {TRACER: Fd(tracer)}
        if stdio is None:
            return await self._execute(running, attachment, further, named, ids)
        with admitted(stdio, privileged=running.record.spec.idmap is None) as streams:
            return await self._execute(running, attachment, {**streams, **further}, named, ids)

    async def _execute(
        self, running: Running, attachment: Attachment, streams: Mapping[str, Fd], named: _Named, ids: list[str]
    ) -> EnteredProcess:
        try:
            return await self._execute_at_leaf(running, attachment, streams, named, ids)
        except StepError as error:
            if error.errno not in (errno.ENODEV, errno.ECHILD):
                raise
        # The guest has just removed the group that it was to begin in, and that is made anew; or nobody was cloned, as
        # what clones died with the orders that it had: another one does.
        return await self._execute_at_leaf(running, attachment, streams, named, ids)

    async def _execute_at_leaf(
        self, running: Running, attachment: Attachment, streams: Mapping[str, Fd], named: _Named, ids: list[str]
    ) -> EnteredProcess:
        login, account, most_groups = await self._account(running, attachment.process)
        running.refuse_unless_entered()  # it may have ended, and its descriptor been closed, since
        program = self._program(running.record.spec, attachment, login, most_groups)
        name = named(next(self._executions))
        ids.append(name)
        groups = group_fds(running.group)
        try:
            given = {
                "init": running.pidfd,
                IMAGE: self._files.of(_KEPT, program.image),
                "account": self._files.of(_KEPT, account),
                **groups,
                **streams,
            }
            # Whoever clones takes the first ones; the program gets the others in its own order.
            first = [each for each in ("init", IMAGE, "cgroup") if each in given]
            fds = {each: given[each] for each in (*first, *program.passed)}
            number = self._link.ask(Verb.EXECUTE, {"uuid": running.uuid, "id": name}, fds)
        finally:
            close_all(groups.values())
        try:
            message = await answer_of_program(self._link, number, program)
        except (InsulaError, OSError):
            raise
        except BaseException:
            # Who asked is gone. What has not begun never shall, though the guest freezes its group; what runs, runs on,
            # and whoever gave us a list for ids finds it by its id.
            with suppress(KeeperError):
                (await self._link.answer(self._link.ask(Verb.ABORT, {"id": name}, {}))).close()
            raise
        pidfd, master = message.fds.pop("pidfd"), message.fds.pop("console0", None)
        message.close()
        return EnteredProcess(id=name, uuid=running.uuid, pid=int(message.body["pid"]), pidfd=pidfd, master=master)

    def _program(self, spec: ContainerSpec, attachment: Attachment, login: Login, most_groups: int) -> Program:
        """Return what the process plays. Raises: StepError."""
        key = (id(spec), attachment, login, self._permitted(), most_groups)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known[1]
        steps = attachment_steps(spec, self._facts, attachment, login)
        program = self._programs.entering(spec, steps, permitted=self._permitted(), most_groups=most_groups)
        if len(program.image) <= _PROGRAM_SIZE:
            self._known[key] = spec, program
        if len(self._known) > _PROGRAMS_MAX:
            self._known.popitem(last=False)
        return program

    async def _account(self, running: Running, process: Process) -> tuple[Login, bytes, int]:
        """Return the user, what says who to become, and for how many groups it has room. Raises: StepError."""
        user = "0" if process.user is None else process.user
        sight = Sight(whose=running.uuid, name=f"'{running.name}'", mount=running.mount)
        try:
            account = await self._find_account(sight, running.pid, running.pidfd, user, process.group)
            most_groups = room_for(len(account.groups))
            login = Login(account.name, account.home, account.shell)
            return login, account_content(account, most_groups), most_groups
        except OSError as error:
            step = BecomeUser(why="", user=user, group=process.group)
            raise step_failed(step, error) from error
