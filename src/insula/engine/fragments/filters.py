"""The system call filters of a container, by the names of the fds they travel in."""

from insula.engine.policy.syscalls import confined, filter_of
from insula.engine.spec import ContainerSpec
from insula.engine.steps.host.childsetup import CompileFilters
from insula.engine.steps.host.hoststep import HostStep

FILTERS = ("filter0",)
"""One program: what `engine.policy.syscalls.programs` returns."""


def filter_steps(spec: ContainerSpec) -> list[HostStep]:
    """Return the step that compiles them, or none for a container without."""
    if not confined(spec.seccomp):
        return []
    return [CompileFilters(why="made here, since the child has no time", seccomp=filter_of(spec), names=FILTERS)]
