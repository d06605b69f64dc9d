"""What of a container no limit holds: told to its administrator, since nobody would notice before it is too late."""

from insula.engine.policy.syscalls import IO_URING_CALLS, confined, filter_of
from insula.engine.spec import Access, ContainerSpec, DirectoryRoot, ImageRoot, TmpfsRoot
from insula.kernel.cgroups import Hierarchies

LIFTED = ("memory", "pids", "cpu", "cpuset", "blkio", "devices")
"""Controllers whose limits a guest can lift once it has mounted their v1 hierarchy, in the words of control groups."""


def unbound(spec: ContainerSpec, hierarchies: Hierarchies) -> tuple[str, ...]:
    """Return one sentence for each thing that a container may take or change without a limit; none for most."""
    found = []
    if spec.limits.memory is None:
        found.append("its memory has no limit")
    if isinstance(spec.root, TmpfsRoot):
        if spec.root.size is None and spec.limits.memory is None:
            found.append("what it writes is memory, and only the host's has an end")
    elif not isinstance(spec.root, ImageRoot) and spec.root.access is Access.READ_WRITE:
        what = "its root" if isinstance(spec.root, DirectoryRoot) else "its writable layer"
        found.append(f"{what} may fill the file system it lies on")
    if spec.idmap is None and (not confined(spec.seccomp) or filter_of(spec).new_mounts):
        found.append(
            "it is the host's root and may mount proc and sysfs anew: nothing of the host's settings is covered"
        )
        lifted = [name for name in LIFTED if hierarchies.v1_mount(name) is not None]
        if lifted:
            found.append(f"it may mount its own v1 control groups, and so lift its limits of {', '.join(lifted)}")
    uring = not {*IO_URING_CALLS}.isdisjoint(spec.seccomp.allow)  # sets sockets' options without a call
    if not confined(spec.seccomp) or spec.seccomp.packet_rings or uring:
        found.append("rings of its packet sockets may take any of the host's memory")
    return tuple(found)
