"""Plans compiled to programs: what the process of a guest plays."""

from collections.abc import Sequence

from insula.engine.keeper.mountspace import STAGE
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.builder import Builder
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.errors import StepError
from insula.kernel.privileges import last_capability

_EVERY_CAPABILITY = (1 << 64) - 1
_USUAL_GROUPS = 64
GROUPS_MAX = 65536
"""Groups a process may have. Source: getgroups(2), NGROUPS_MAX."""


def start_program(spec: ContainerSpec, plan: LaunchPlan, *, permitted: int, hold: bool) -> Program:
    """Return the program of a guest's first process.

    permitted: the mask of the keeper's capabilities, which a guest without a user namespace cannot exceed; hold: wait
    right before init is executed. Raises: StepError naming a step that cannot be said.
    """
    program = Builder(
        last_capability=last_capability(),
        permitted=permitted if spec.idmap is None else _EVERY_CAPABILITY,
        hold=hold,
        stage=f"{STAGE}/{spec.uuid}",
        most_groups=GROUPS_MAX if spec.init.user is not None or spec.init.group is not None else 0,
    )
    return compiled_start(program, plan)


def compiled_start(program: Builder, plan: LaunchPlan) -> Program:
    """Return what a builder makes of a plan's steps inside. Raises: as `start_program`."""
    _compile(program, plan.child_early)
    program.mark("wait for what the host prepares")
    program.receive_fds()
    _compile(program, plan.inside)
    return program.finished()


def entering_program(spec: ContainerSpec, steps: Sequence[GuestStep], *, permitted: int, most_groups: int) -> Program:
    """Return the program of a process that enters a running guest.

    It receives init's pidfd and what it asks for before anything else. most_groups: room for those of its user.
    Raises: as `start_program`.
    """
    program = Builder(
        last_capability=last_capability(),
        permitted=permitted if spec.idmap is None else _EVERY_CAPABILITY,
        most_groups=most_groups,
    )
    program.mark("receive what it is given")
    program.receive_fds("init")
    _compile(program, steps)
    return program.finished()


def room_for(groups: int) -> int:
    """Return for how many groups a program should have room, so that few kinds of programs are needed."""
    return _USUAL_GROUPS if groups <= _USUAL_GROUPS else GROUPS_MAX


def _compile(program: Builder, steps: Sequence[GuestStep]) -> None:
    for step in steps:
        program.mark(str(step))
        try:
            step.compile(program)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            number = error.errno if isinstance(error, OSError) else None
            raise StepError(f"cannot {step}: {said}", step=str(step), errno=number or 0) from error
