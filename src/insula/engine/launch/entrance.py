"""Starting processes inside running containers: the daemon's side of it."""

import errno
import itertools
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from insula.engine.accounts import account_file
from insula.engine.enter.attachment import Attachment, EnteredProcess, attachment_steps, group_fds
from insula.engine.facts import Facts
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import IMAGE, Verb
from insula.engine.launch.attempt import answer_of_program, step_failed
from insula.engine.launch.programs import Programs, room_for
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.accountlook import AccountFinder
from insula.engine.look.looking import Sight
from insula.engine.spec import Process
from insula.engine.steps.guest.confinement import BecomeUser
from insula.errors import InsulaError, KeeperError, StepError
from insula.kernel.fds import Fd, close_all, sealed_file
from insula.kernel.process import reset_memory_score, start_time_in


class Entrance:
    """Has processes enter.

    programs: compiles what they play; find_account: looks into running guests for who their users are.
    """

    def __init__(self, *, facts: Facts, link: KeeperLink, programs: Programs, find_account: AccountFinder) -> None:
        self._facts = facts
        self._programs = programs
        self._link = link
        self._find_account = find_account
        # Microseconds since 1970: no id of an earlier daemon comes again, and it fits 64 bits.
        self._executions = itertools.count(time.time_ns() // 1000)

    async def execute(
        self, running: Running, attachment: Attachment, streams: Mapping[str, Fd], *, permitted: int
    ) -> EnteredProcess:
        """Start a process inside and return once it is executed. permitted: the mask of the keeper's capabilities.

        Raises: StepError naming the step.
        """
        try:
            return await self._execute_at_leaf(running, attachment, streams, permitted)
        except StepError as error:
            if error.errno != errno.ENODEV:
                raise
        # The guest has just removed the group that it was to begin in, and that is made anew.
        return await self._execute_at_leaf(running, attachment, streams, permitted)

    async def _execute_at_leaf(
        self, running: Running, attachment: Attachment, streams: Mapping[str, Fd], permitted: int
    ) -> EnteredProcess:
        spec = running.record.spec
        steps = attachment_steps(spec, self._facts, attachment)
        account, most_groups = await self._account(running, attachment.process)
        program = self._programs.entering(spec, steps, permitted=permitted, most_groups=most_groups)
        name = str(next(self._executions))
        body = {"uuid": running.uuid, "id": name}
        fds = {"account": account}
        try:
            fds |= group_fds(running.group)
            fds[IMAGE] = sealed_file("insula-program", program.image)
            given = fds | dict(streams)
            received = {each: given[each] for each in program.passed if each != "init"}
            others = {each: fds[each] for each in (IMAGE, "cgroup") if each in fds}
            number = self._link.ask(Verb.EXECUTE, body, {"init": running.pidfd} | others | received)
        finally:
            close_all(fds.values())
        try:
            message = await answer_of_program(self._link, number, program)
        except (InsulaError, OSError):
            raise
        except BaseException:
            # Who asked is gone. What has not begun never shall, though the guest freezes its group; what runs, runs on.
            with suppress(KeeperError):
                (await self._link.answer(self._link.ask(Verb.ABORT, {"id": name}, {}))).close()
            raise
        pid = int(message.body["pid"])
        pidfd, master = message.fds.pop("pidfd"), message.fds.pop("console0", None)
        message.close()
        return EnteredProcess(
            id=name, uuid=running.uuid, pid=pid, born=_reset_memory_score(pid), pidfd=pidfd, master=master
        )

    async def _account(self, running: Running, process: Process) -> tuple[Fd, int]:
        """Return a file that says who to become, and for how many groups it has room. Raises: StepError."""
        user = "0" if process.user is None else process.user
        sight = Sight(whose=running.uuid, name=f"'{running.name}'", mount=running.mount)
        try:
            account = await self._find_account(sight, running.pid, running.pidfd, user, process.group)
            most_groups = room_for(len(account.groups))
            return account_file(account, most_groups), most_groups
        except OSError as error:
            step = BecomeUser(why="", user=user, group=process.group)
            raise step_failed(step, error) from error


def _reset_memory_score(pid: int) -> int | None:
    """Take the keeper's protection from a process that has entered; return when it started, None if it has ended."""
    try:
        directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            reset_memory_score(directory)
            return start_time_in(directory)
        finally:
            os.close(directory)
    except (FileNotFoundError, ProcessLookupError):
        return None
