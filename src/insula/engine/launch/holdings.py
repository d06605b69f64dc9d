"""What a run holds on the host beside its processes, as values: written down before and while it is made.

    announced   before anything is made: what a launch may leave, should we die on the way
    made        by a step, which returns it; the container's record keeps it until the run is over

`engine.launch.release` takes them away again: after a launch that failed, at a run's end, and after a daemon's death.
What needs no holding goes by itself: descriptors with who has them, and interfaces, mounts and a systemd scope with the
guest's last process.
"""

from dataclasses import dataclass
from typing import Any

from insula.engine import codec
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Interface
from insula.engine.launch.readyscopes import IN_SCOPE
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.kernel.cgroups import DeviceRule


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlGroup:
    """The group at a path below every hierarchy, in directories of our own.

    made: False while it is only announced: it may not be there yet, or be another's.
    """

    path: str
    made: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeGroup:
    """The group at a path that is below a scope which systemd made for it."""

    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedGroup:
    """The launch's group in the v1 hierarchy named systemd, where nobody has mounted that.

    made: False while it is only announced.
    """

    made: bool = True

    def name(self, launch: str) -> str:
        """Return its name, at the hierarchy's root."""
        return f"insula-{launch}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopDevice:
    """The loop device that shows an image file to the guest. guest: its node's name below /dev; made: False while it
    is only announced."""

    guest: str
    made: bool = True

    def mark(self, launch: str) -> str:
        """Return by what it is known, whichever number it has."""
        return f"insula:{launch}:{self.guest}"[:63]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interfaces:
    """Interfaces that connect the guest with the host."""

    connected: tuple[ConnectedInterface, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestMount:
    """A mount that was attached in the guest while it ran; with the guest it goes by itself.

    target: where, as the guest sees it; device, inode: what its top is, so that nothing that the guest has put in its
    place is taken for it; made: False while it is only announced.
    """

    target: str
    device: int
    inode: int
    made: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class AddedMount:
    """A mount of what is the guest's own, from before it is attached at target until the whole change is done.

    former: the kernel's id of what was on top there before, None for nothing; made: False, since it never outlives the
    change.
    """

    target: str
    former: int | None
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LeavingMount:
    """A mount of the guest's that is about to be taken off target: whether that has happened its id tells.

    mount: the kernel's id; made: False, since it never outlives the change.
    """

    target: str
    mount: int
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RenewedMount:
    """A mount that is attached beneath the one at target, whose place it is to take.

    device, inode: what its top is; mount, former: the kernel's ids of both; made: False, since it is one of the guest's
    mounts like others once the former one has gone.
    """

    target: str
    device: int
    inode: int
    mount: int
    former: int
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FormerMount:
    """The mount at target that has been renewed, to be taken off. mount: the kernel's id; made: it is left to do."""

    target: str
    mount: int
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FormerDevices:
    """What a running guest's group let it use, from before that was changed until the whole change is done.

    path: the group's; rules: the former ones; made: False, since it never outlives the change.
    """

    path: str
    rules: tuple[DeviceRule, ...]
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FormerLink:
    """What a link of a running guest was, from before it is changed until the whole change is done.

    change: what is wanted of it; made: False, since it never outlives the change.
    """

    link: LinkSnapshot
    change: LinkChange
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HalfPlugged:
    """An interface that a running guest is given, from before it is made until the whole change is done.

    interface: with a MAC address, by which it is known; made: False, since it never outlives the change.
    """

    interface: Interface
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FormerPort:
    """What an interface of a running guest was plugged into, from before that changes until the whole change is done.

    interface: as it was; wanted: as it is to be; made: False, since it never outlives the change.
    """

    connected: ConnectedInterface
    interface: Interface
    wanted: Interface
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CardHelpers:
    """Helpers of interfaces, announced before a launch begins any: they are found by the launch.

    made: False, since each made one belongs to its interface.
    """

    made: bool = False


Holding = (
    ControlGroup
    | ScopeGroup
    | NamedGroup
    | LoopDevice
    | Interfaces
    | GuestMount
    | AddedMount
    | LeavingMount
    | RenewedMount
    | FormerMount
    | FormerDevices
    | FormerLink
    | HalfPlugged
    | FormerPort
    | CardHelpers
)


def holding_of_group(path: str) -> Holding:
    """Return the holding that a group's path tells of, as versions before this one wrote nothing else down."""
    above, _, name = path.rpartition("/")
    return ScopeGroup(path=path) if name == IN_SCOPE and above.endswith(".scope") else ControlGroup(path=path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remains:
    """All there may be of one launch; survives JSON.

    uuid, launch: by which the keeper knows its process, launch None for any; pid, born: of init, as in the container's
    record, None before there is one; holdings: in the order they were, or are to be, made.
    """

    uuid: str
    launch: str | None = None
    pid: int | None = None
    born: int | None = None
    holdings: tuple[Holding, ...] = ()

    def encode(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        encoded: dict[str, Any] = codec.encode(self)
        return encoded

    @staticmethod
    def decode(data: dict[str, Any]) -> "Remains":
        """Return what `encode` made data from, here or in the versions that knew the group's path only.

        Raises: ValueError if it is none.
        """
        if isinstance(data, dict) and "group" in data:
            path = data["group"]
            data = {key: value for key, value in data.items() if key != "group"}
            former = codec.decode(Remains, data)
            return Remains(
                uuid=former.uuid, launch=former.launch, holdings=(holding_of_group(str(path)),) if path else ()
            )
        return codec.decode(Remains, data)
