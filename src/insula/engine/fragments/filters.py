"""The system call filters of a container, by the names of the fds they travel in."""

from insula.engine.spec import ContainerSpec
from insula.engine.steps.host.belongings import CompileFilters
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.syscalls import confined, filter_of

FILTERS = ("filter0",)
"""One program: what `engine.syscalls.programs` returns."""


def filter_steps(spec: ContainerSpec) -> list[HostStep]:
    """Return the step that compiles them, or none for a container without."""
    if not confined(spec.seccomp):
        return []
    return [CompileFilters(why="made here, since the child has no time", seccomp=filter_of(spec), names=FILTERS)]
