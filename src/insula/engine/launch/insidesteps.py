"""Steps performed inside a running container: by a process that enters, does them, and ends."""

import errno
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress

from insula.engine.enter.attachment import group_fds, namespaces_of
from insula.engine.facts import Facts
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import IMAGE, Verb
from insula.engine.launch.attempt import answer_of_program
from insula.engine.launch.programs import Programs
from insula.engine.launch.runningcontainer import Running
from insula.engine.steps.guest import execution, namespaces, roottree
from insula.engine.steps.guest.gueststep import GuestStep
from insula.errors import InsulaError, KeeperError, StepError
from insula.kernel.fds import close_all, sealed_file


class InsideSteps:
    """Has steps performed in containers that run."""

    def __init__(self, *, facts: Facts, link: KeeperLink, programs: Programs) -> None:
        self._facts = facts
        self._link = link
        self._programs = programs
        self._numbers = itertools.count()

    async def perform(
        self, running: Running, steps: Sequence[GuestStep], fds: Mapping[str, int], *, permitted: int
    ) -> None:
        """Return once all steps are done, by the guest's root and below its root.

        fds: what the steps call by name, such as trees; permitted: the mask of the keeper's capabilities.
        Raises: StepError naming the step that failed: those before it are done.
        """
        try:
            await self._perform_at_leaf(running, steps, fds, permitted)
        except StepError as error:
            if error.errno != errno.ENODEV or error.step:
                raise
            # As for a process that enters (`engine.launch.entrance`): the guest has just removed the group it was for.
            await self._perform_at_leaf(running, steps, fds, permitted)

    async def _perform_at_leaf(
        self, running: Running, steps: Sequence[GuestStep], fds: Mapping[str, int], permitted: int
    ) -> None:
        whole = self._whole(running, steps)
        program = self._programs.entering(running.record.spec, whole, permitted=permitted, most_groups=0)
        name = f"steps{next(self._numbers)}"
        own = group_fds(running.group)
        try:
            own[IMAGE] = sealed_file("insula-program", program.image)
            given = {**own, **fds}
            received = {each: given[each] for each in program.passed if each != "init"}
            others = {each: own[each] for each in (IMAGE, "cgroup") if each in own}
            body = {"uuid": running.uuid, "id": name}
            number = self._link.ask(Verb.PERFORM, body, {"init": running.pidfd} | others | received)
        finally:
            close_all(own.values())
        try:
            (await answer_of_program(self._link, number, program)).close()
        except (InsulaError, OSError):
            raise
        except BaseException:
            # Who asked is gone: what is not done yet is not to be done.
            with suppress(KeeperError):
                (await self._link.answer(self._link.ask(Verb.ABORT, {"id": name}, {}))).close()
            raise

    def _whole(self, running: Running, steps: Sequence[GuestStep]) -> tuple[GuestStep, ...]:
        kinds = [each.value for each in namespaces_of(running.record.spec)]
        why = "what the guest may make us wait for is the guest's own"
        return (
            namespaces.JoinGroups(why=why, count=len(self._facts.hierarchies.v1)),
            namespaces.EnterContainer(why="all at once, by init's pidfd", kinds=kinds),
            namespaces.BecomeRoot(why="what is made is the guest's"),
            roottree.TakeRoot(why="as the guest finds it"),
            *steps,
            execution.Finish(why="nothing of ours stays in the guest"),
        )
