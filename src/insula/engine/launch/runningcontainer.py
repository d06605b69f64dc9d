"""A container that runs, in the daemon's hands: its fds, and what is needed to end it cleanly, also after a restart."""

import functools
import os
import signal
from dataclasses import dataclass, field, replace
from typing import Any

from insula.engine import codec
from insula.engine.exitstatus import ExitStatus
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.launch.holdings import Holding, Interfaces, Remains, holding_of_group
from insula.engine.machineviews import DEVICE, MEMORY
from insula.engine.sameobject import SameObject
from insula.engine.spec import ContainerSpec
from insula.errors import OperationInvalidError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import NO_FD, Fd, close_all
from insula.kernel.process import ends_within


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRecord:
    """What is written down about a running container, so that a later daemon can find it again. Survives JSON.

    born: init's start time in clock ticks since boot, by which a reused pid is recognised; boot: the kernel's boot id;
    group: the control group's path below each hierarchy; launch: names the launch that made all this, so that nobody
    takes away what another one made; holdings: what it holds on the host, in the order it was made; guards_loops:
    whether its filter keeps it from taking loop devices over, which those of earlier versions did not.
    """

    spec: ContainerSpec
    id: int
    pid: int
    born: int
    boot: str
    group: str
    launch: str | None = None
    holdings: tuple[Holding, ...] = ()
    guards_loops: bool = False

    @property
    def connected(self) -> tuple[ConnectedInterface, ...]:
        """The interfaces that connect it with the host."""
        return tuple(each for held in self.holdings if isinstance(held, Interfaces) for each in held.connected)

    @property
    def remains(self) -> Remains:
        """What is to be taken away at its end."""
        return Remains(uuid=self.spec.uuid, launch=self.launch, pid=self.pid, born=self.born, holdings=self.holdings)

    def encode(self) -> dict[str, Any]:
        """Return the record as JSON-able data, which nobody changes: it is written twice at each start."""
        return _encoded(SameObject(self))

    @staticmethod
    def decode(data: dict[str, Any]) -> "ContainerRecord":
        """Return the record that `encode` made data from, here or in an earlier version. Raises: ValueError if none."""
        if not isinstance(data, dict) or "holdings" in data:
            return codec.decode(ContainerRecord, data)
        # Versions before this one wrote down the group, and the interfaces beside it.
        former = codec.decode(ContainerRecord, {key: value for key, value in data.items() if key != "connected"})
        held = [holding_of_group(former.group)]
        if data.get("connected"):
            held.append(codec.decode(Interfaces, {"connected": data["connected"]}))
        return replace(former, holdings=tuple(held))

    def group_in(self, hierarchies: Hierarchies) -> Cgroup:
        return Cgroup(hierarchies, self.group)


_SHOWN = "shown"
"""With a console's place: the keeper's name for the master of the host's terminal that shows it."""
_NOTICES = "notices"
"""The keeper's name for the socket by which init tells of its state."""


@dataclass(kw_only=True, slots=True, eq=False)
class Running:
    """A launched container. consoles: masters of its terminals; said: what they said before anybody listened.

    shown: masters of the host's terminals at which consoles are shown, by the consoles' places. The fds belong to this
    handle; the keeper has its own.
    """

    record: ContainerRecord
    group: Cgroup
    pidfd: Fd = NO_FD
    consoles: list[Fd] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    shown: dict[int, Fd] = field(default_factory=dict)
    notices: Fd = NO_FD
    """The socket by which init tells of its state (`engine.notices`)."""
    view: dict[str, Fd] = field(default_factory=dict)
    """The connection of its machine view, by the keeper's names; empty without one (`engine.machineviews`)."""
    lent: bool = False
    """Whether the terminals are closed by whoever reads them."""
    awaiting_exec: bool = False
    """Init waits right before its program, frozen: the first resume lets it go on."""
    channel: Fd = NO_FD
    """The way to an init that is held, which ends when nobody has it."""
    mount: int | None = None
    """Of its root, if what lies there can be read without waiting (`kernel.localfiles`); unknown after a restart."""
    status: ExitStatus | None = None
    """How it ended, None as long as that is not known."""
    unmet: tuple[str, ...] = ()
    """What it should have had and does without, as this launch found."""
    described: bool = True
    """Whether its spec is what it was started from; else only the keeper knew of it, and nothing may enter it."""
    released: bool = False
    """Whether all that was made for it has been taken away."""

    @property
    def channels(self) -> dict[str, int]:
        """Which of the terminals each channel has, by its name: those behind the consoles'."""
        spec = self.record.spec
        places = range(spec.consoles, len(self.consoles))
        return dict(zip(spec.channels, places, strict=False))

    @property
    def console_count(self) -> int:
        """How many of the terminals are consoles, the first ones."""
        return len(self.consoles) - len(self.channels)

    @property
    def uuid(self) -> str:
        return self.record.spec.uuid

    @property
    def name(self) -> str:
        return self.record.spec.name

    @property
    def id(self) -> int:
        """The domain's id: init's pid on the host, where that could be chosen."""
        return self.record.id

    @property
    def pid(self) -> int:
        return self.record.pid

    def refuse_unless_entered(self) -> None:
        """Raises: OperationInvalidError if nothing can enter it now."""
        if not self.described:
            raise OperationInvalidError(f"nothing can be started in {self.name}: how it was started is not known")
        if self.awaiting_exec or self.group.frozen:
            raise OperationInvalidError(f"{self.name} is paused: resume it first")
        if self.pidfd < 0:
            raise OperationInvalidError(f"{self.name} has ended, or is not taken over from the daemon before yet")

    def signal(self, number: int) -> None:
        """Send init a signal. Raises: OSError; ProcessLookupError if it has ended."""
        signal.pidfd_send_signal(self.pidfd, number)

    def ends_within(self, seconds: float) -> bool:
        """Wait for init's end, no longer than that; tell whether it has come."""
        return ends_within(self.pidfd, seconds)

    def kept(self) -> dict[str, Fd]:
        """Return what the keeper keeps for later daemons, beside the consoles, by its names there."""
        notices = {_NOTICES: self.notices} if self.notices >= 0 else {}
        return {f"{_SHOWN}{place}": master for place, master in self.shown.items()} | notices | self.view

    def take_kept(self, fds: dict[str, Fd]) -> None:
        """Take out of fds what an earlier daemon had kept."""
        for name in [each for each in fds if each.startswith(_SHOWN)]:
            self.shown[int(name.removeprefix(_SHOWN))] = fds.pop(name)
        self.notices = fds.pop(_NOTICES, NO_FD)
        if DEVICE in fds and MEMORY in fds:
            self.view = {name: fds.pop(name) for name in (DEVICE, MEMORY)}

    def close(self) -> None:
        """Close this handle's fds; the container is not touched."""
        close_all(fd for fd in (self.pidfd, self.channel, self.notices, *self.view.values()) if fd >= 0)
        self.view.clear()
        if not self.lent:
            close_all([*self.consoles, *self.shown.values()])
        self.consoles.clear()
        self.shown.clear()
        self.pidfd = self.channel = self.notices = NO_FD


@functools.lru_cache(64)
def _encoded(record: SameObject[ContainerRecord]) -> dict[str, Any]:
    spec = _encoded_spec(SameObject(record.value.spec))
    encoded: dict[str, Any] = codec.encode(record.value, known={"spec": spec})
    return encoded


@functools.lru_cache(64)
def _encoded_spec(spec: SameObject[ContainerSpec]) -> codec.Json:
    return codec.encode(spec.value)


@functools.cache
def boot_id() -> str:
    """Return what is different after every boot of the host. Source: random(4)."""
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 64).decode().strip()
    finally:
        os.close(fd)
