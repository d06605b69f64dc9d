"""What a container is before anything happens: its description, for `Container` and `AsyncContainer` alike."""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from insula.engine.containerlife import ContainerLife
from insula.engine.embedded import Engine
from insula.engine.exitstatus import ExitStatus
from insula.engine.imageuse import image_root
from insula.engine.interfacespec import Interface, NetworkKind
from insula.engine.plan import planner
from insula.engine.plan.plan import LaunchPlan
from insula.engine.spec import (
    Bytes,
    ContainerSpec,
    Device,
    DirectoryRoot,
    IdMap,
    Limits,
    MemoryPolicy,
    Mount,
    Process,
    ResourceLimit,
    Root,
    Seccomp,
    TmpfsRoot,
    command_words,
)
from insula.errors import InvalidArgumentError


class ContainerBasis:
    """The description of a container, and what can be told of it at once."""

    def __init__(
        self,
        root: "str | os.PathLike[str] | Root | None" = None,
        *,
        image: str | None = None,
        name: str | None = None,
        init: Sequence[str] = ("/sbin/init",),
        env: Mapping[str, str] | None = None,
        ephemeral: bool = False,
        ids: IdMap | None = None,
        privileged: bool = False,
        hostname: str | None = None,
        memory: int | None = None,
        cpus: str | None = None,
        pids: int | None = None,
        limits: Limits | None = None,
        resource_limits: Sequence[ResourceLimit] = (),
        memory_policy: MemoryPolicy | None = None,
        sysctls: Mapping[str, str] | None = None,
        mounts: Sequence[Mount] = (),
        devices: Sequence[Device] = (),
        network: NetworkKind = NetworkKind.PRIVATE,
        interfaces: Sequence[Interface] = (),
        consoles: int = 1,
        capabilities: frozenset[str] | None = None,
        seccomp: Seccomp | None = None,
        profile: str | None = None,
        engine: Engine | None = None,
    ) -> None:
        if privileged and ids is not None:
            raise InvalidArgumentError("a container with ids of its own is not privileged: give it one of the two")
        identity = str(uuid.uuid4())
        wanted = limits or Limits()
        spec = ContainerSpec(
            name=name or f"insula-{identity[:8]}",
            uuid=identity,
            root=_root(root, image, ephemeral=ephemeral),
            init=Process(argv=command_words(init), env=tuple((env or {}).items())),
            hostname=hostname,
            idmap=ids,
            privileged=privileged,
            mounts=tuple(mounts),
            devices=tuple(devices),
            network=network,
            interfaces=tuple(interfaces),
            consoles=consoles,
            limits=replace(
                wanted,
                memory=wanted.memory if memory is None else Bytes(memory),
                cpus=wanted.cpus if cpus is None else cpus,
                pids=wanted.pids if pids is None else pids,
            ),
            resource_limits=tuple(resource_limits),
            memory_policy=memory_policy,
            sysctls=tuple((sysctls or {}).items()),
            capabilities=capabilities,
            seccomp=seccomp or Seccomp(),
            profile=profile,
        )
        self._life = ContainerLife(spec, needs_ids=ids is None and not privileged, engine=engine, image=image)

    def __repr__(self) -> str:
        state = f"running as {self.pid}" if self.running else str(self.status) if self.status else "not started"
        return f"<{type(self).__name__} {self.name}: {state}>"

    @property
    def spec(self) -> ContainerSpec:
        """What will be, or was, launched; its id map is chosen at the start unless one was given."""
        return self._life.spec

    @property
    def name(self) -> str:
        return self._life.spec.name

    @property
    def uuid(self) -> str:
        return self._life.spec.uuid

    @property
    def running(self) -> bool:
        """Whether the guest's init lives, paused or not."""
        return self._life.runs

    @property
    def pid(self) -> int:
        """The host's pid of the guest's init. Raises: OperationInvalidError if it does not run."""
        return self._life.alive().pid

    @property
    def status(self) -> ExitStatus | None:
        """How the last run ended, None before its end was seen by `wait`, `shutdown` or `destroy`."""
        return self._life.status

    def plan(self) -> LaunchPlan:
        """Return what `start` would do, step by step with reasons; nothing happens, so an image tells nothing here."""
        return planner.plan(self._life.settled(mounting=False), self._life.facts())

    @property
    def frozen(self) -> bool:
        """Whether every process stands still. Raises: OperationInvalidError if it does not run."""
        return self._life.alive().group.frozen


def _root(root: "str | os.PathLike[str] | Root | None", image: str | None, *, ephemeral: bool) -> Root:
    if (root is None) == (image is None):
        raise InvalidArgumentError("a container has either a root or an image: give one of the two")
    if image is not None:
        return TmpfsRoot(lower=(image_root(image),))
    assert root is not None
    if isinstance(root, str | os.PathLike):
        path = os.path.abspath(root)
        return TmpfsRoot(lower=(path,)) if ephemeral else DirectoryRoot(path=path)
    if ephemeral:
        raise InvalidArgumentError("ephemeral goes with a directory: describe any other root by itself")
    return root
