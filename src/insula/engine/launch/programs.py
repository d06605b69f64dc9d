"""Plans compiled to programs: what the process of a guest plays. Guests of one shape share what is compiled."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock
from typing import NamedTuple

from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.builder import Builder
from insula.engine.program.late import Late, Template, shape_of
from insula.engine.program.program import Mark, Program
from insula.engine.sameobject import SameObject
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.errors import StepError
from insula.kernel.privileges import last_capability

_EVERY_CAPABILITY = (1 << 64) - 1
_USUAL_GROUPS = 64
GROUPS_MAX = 65536
"""Groups a process may have. Source: getgroups(2), NGROUPS_MAX."""
_SHAPES_MAX = 128
"""Programs that are kept: some hundred kilobytes each, with their meanings."""
_LATEST_MAX = 1024
"""Plans whose shape is known, each some kilobytes beside the plan itself."""
_IMAGES_MAX = 16 << 20
"""Bytes of their images together: arguments and variables of any length are part of a shape."""
_WAIT = "wait for what the host prepares"
_RECEIVE = "receive what it is given"


class Compiled(NamedTuple):
    """What a plan was compiled to: the program of its shape, and what is its own."""

    spec: ContainerSpec
    template: Template
    lates: list[Late]
    marks: tuple[Mark, ...]


class Programs:
    """Compiles programs, each shape once; of the latest plans the shape is known.

    A program is a function of its steps and of what stands in the key; nothing else of the host, of files or of
    settings goes into it. So what changes there changes the plan, and with it the key. Threads may share it: a
    definition has its program compiled in one.
    """

    def __init__(self) -> None:
        self._templates: OrderedDict[Hashable, Template] = OrderedDict()
        self._lock = Lock()
        self._images = 0
        """Bytes."""
        self._latest: OrderedDict[tuple[SameObject[LaunchPlan], int, bool], Compiled] = OrderedDict()

    def start(self, spec: ContainerSpec, plan: LaunchPlan, *, permitted: int, hold: bool) -> Program:
        """Return the program of a guest's first process.

        permitted: the mask of the keeper's capabilities, which a guest without a user namespace cannot exceed; hold:
        wait right before init is executed. Raises: StepError naming a step that cannot be said.
        """
        mask = permitted if spec.idmap is None else _EVERY_CAPABILITY
        with self._lock:
            key = (SameObject(plan), mask, hold)
            latest = self._latest.get(key)
            if latest is None or latest.spec is not spec:
                latest = self._latest[key] = self._compiled(spec, plan, mask, hold=hold)
                if len(self._latest) > _LATEST_MAX:
                    self._latest.popitem(last=False)
        return latest.template.filled(latest.lates, latest.marks)

    def _compiled(self, spec: ContainerSpec, plan: LaunchPlan, mask: int, *, hold: bool) -> "Compiled":
        most_groups = GROUPS_MAX if spec.init.user is not None or spec.init.group is not None else 0
        early, inside = shape_of(plan.child_early), shape_of(plan.inside)
        stage = Late(spec.uuid)
        lates = [stage, *early[1], *inside[1]]
        key = ("start", mask, hold, most_groups, early[0], inside[0])
        template = self._kept(key)
        if template is None:
            program = Builder(
                last_capability=last_capability(),
                permitted=mask,
                hold=hold,
                stage=stage,
                most_groups=most_groups,
                lates=lates,
            )
            template = self._keep(key, compiled_start(program, plan))
        marks = template.marks([*plan.child_early, _WAIT, *plan.inside])
        return Compiled(spec=spec, template=template, lates=lates, marks=marks)

    def entering(self, spec: ContainerSpec, steps: Sequence[GuestStep], *, permitted: int, most_groups: int) -> Program:
        """Return the program of a process that enters a running guest.

        It receives init's pidfd and what it asks for before anything else. most_groups: room for those of its user.
        Raises: as `start`.
        """
        mask = permitted if spec.idmap is None else _EVERY_CAPABILITY
        shape, lates = shape_of(steps)
        key = ("entering", mask, most_groups, shape)
        with self._lock:
            template = self._kept(key)
            if template is None:
                program = Builder(
                    last_capability=last_capability(), permitted=mask, most_groups=most_groups, lates=lates
                )
                template = self._keep(key, compiled_entering(program, steps))
        return template.filled(lates, template.marks([_RECEIVE, *steps]))

    def _kept(self, key: Hashable) -> Template | None:
        template = self._templates.get(key)
        if template is not None:
            self._templates.move_to_end(key)
        return template

    def _keep(self, key: Hashable, template: Template) -> Template:
        self._templates[key] = template
        self._images += len(template.image)
        while len(self._templates) > _SHAPES_MAX or self._images > _IMAGES_MAX:
            _, oldest = self._templates.popitem(last=False)
            self._images -= len(oldest.image)
        return template


def compiled_start(program: Builder, plan: LaunchPlan) -> Template:
    """Return what a builder makes of a plan's steps inside. Raises: as `Programs.start`."""
    _compile(program, plan.child_early)
    program.mark(_WAIT)
    program.receive_fds()
    _compile(program, plan.inside)
    return program.finished_template()


def compiled_entering(program: Builder, steps: Sequence[GuestStep]) -> Template:
    """Return what a builder makes of steps in a running guest. Raises: as `Programs.start`."""
    program.mark(_RECEIVE)
    program.receive_fds("init")
    _compile(program, steps)
    return program.finished_template()


def room_for(groups: int) -> int:
    """Return for how many groups a program should have room, so that few kinds of programs are needed."""
    return _USUAL_GROUPS if groups <= _USUAL_GROUPS else GROUPS_MAX


def _compile(program: Builder, steps: Sequence[GuestStep]) -> None:
    for step in steps:
        program.mark(step)
        try:
            step.compile(program)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            number = error.errno if isinstance(error, OSError) else None
            raise StepError(f"cannot {step}: {said}", step=str(step), errno=number or 0) from error
