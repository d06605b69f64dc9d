"""What a container is, before anything happens: a run-time value, no configuration file, no libvirt.

A `ContainerSpec` holds paths of the host, ids, and numbers; never an fd. The planner turns it, with `Facts` about the
host, into a `LaunchPlan`. Everything here survives JSON (see `engine.codec`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from insula.engine.coreplace import CorePlace
from insula.engine.interfacespec import Interface, NetworkKind, NetworkShare
from insula.engine.limitspec import Bytes as Bytes
from insula.engine.limitspec import Limits as Limits
from insula.engine.limitspec import MemoryPolicy as MemoryPolicy
from insula.engine.limitspec import Microseconds as Microseconds
from insula.engine.limitspec import ResourceLimit as ResourceLimit
from insula.errors import InvalidArgumentError


class Namespace(Enum):
    """A namespace kind; the value is the name below `/proc/PID/ns`."""

    MOUNT = "mnt"
    UTS = "uts"
    IPC = "ipc"
    PID = "pid"
    NETWORK = "net"
    USER = "user"
    CGROUP = "cgroup"
    TIME = "time"


ALL_NAMESPACES = frozenset(Namespace) - {Namespace.TIME}
"""What a container gets unless it says otherwise; the user namespace is added by an id map."""


class Access(Enum):
    """Whether a mount may be written through; READ_ONLY is recursive (mount_setattr with AT_RECURSIVE)."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"


@dataclass(frozen=True, kw_only=True, slots=True)
class IdRange:
    """count ids starting at `inside` are `outside` on the host."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IdMap:
    """The user namespace's maps. Both must map 0 inside: a system container has a root user."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]

    @property
    def root_uid(self) -> int:
        """The host's uid for the guest's root."""
        return _outside_of_zero(self.uids, "uid")

    @property
    def root_gid(self) -> int:
        """The host's gid for the guest's root."""
        return _outside_of_zero(self.gids, "gid")


def _outside_of_zero(ranges: tuple[IdRange, ...], kind: str) -> int:
    for each in ranges:
        if each.inside == 0:
            return each.outside
    raise InvalidArgumentError(f"the {kind} map has no entry for 0: give the guest's root a {kind} of the host")


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryRoot:
    """The root is a directory of the host, or a mounted file system's top.

    idmapped: owners are shifted by the container's id map; False for trees whose files belong to shifted ids already.
    """

    path: str
    access: Access = Access.READ_WRITE
    idmapped: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class OverlayRoot:
    """The root is an overlay: lower layers (top one first), and upper and work directories on one file system."""

    lower: tuple[str, ...]
    upper: str
    work: str
    access: Access = Access.READ_WRITE


@dataclass(frozen=True, kw_only=True, slots=True)
class TmpfsRoot:
    """The root is an overlay whose writable layer is memory: gone at stop. size: bytes, None: the kernel's default."""

    lower: tuple[str, ...]
    size: Bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRoot:
    """The root is the file system on a block device or in an image file of the host.

    fstype: as in /proc/filesystems, None to probe; start, size: which part of the image it is, in bytes, a size of 0
    for all that follows; idmapped: owners are shifted by the container's id map.
    """

    source: str
    fstype: str | None = None
    start: int = 0
    size: int = 0
    access: Access = Access.READ_WRITE
    idmapped: bool = True


Root = DirectoryRoot | OverlayRoot | TmpfsRoot | ImageRoot


@dataclass(frozen=True, kw_only=True, slots=True)
class BindMount:
    """Show a path of the host at target. idmapped: owners are shifted; asked_by: the device classes that it is of."""

    source: str
    target: str
    access: Access = Access.READ_WRITE
    idmapped: bool = True
    recursive: bool = True
    asked_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TmpfsMount:
    """An empty file system in memory. size: bytes, None for the kernel's default (half of the memory)."""

    target: str
    size: Bytes | None = None
    mode: int = 0o755
    access: Access = Access.READ_WRITE


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageMount:
    """A block device or image file of the host with a file system on it.

    fstype: as in /proc/filesystems, None to probe; start, size: which part of it is meant, in bytes, a size of 0 for
    all that follows; idmapped: owners are shifted by the container's id map.
    """

    source: str
    target: str
    fstype: str | None = None
    start: int = 0
    size: int = 0
    access: Access = Access.READ_WRITE
    idmapped: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestBindMount:
    """Show a directory or file of the guest's own tree at another place inside it."""

    source: str
    target: str
    access: Access = Access.READ_WRITE


Mount = BindMount | TmpfsMount | ImageMount | GuestBindMount


class DeviceKind(Enum):
    """What a device node stands for: mknod(2)."""

    CHARACTER = "c"
    BLOCK = "b"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device node in the guest, and the right to use it.

    host: the node on the host that is shown; guest: its path below the guest's /dev, such as `net/tun`; access: letters
    of r, w, m, as the device controller has them; image: the file of the host that is shown as a block device, by a
    loop device of the guest's: the numbers are those of that, 0 before there is one; groups: names of the guest's own
    groups, of which the first that it has owns the node instead of gid; asked_by: the device classes that it is of.
    """

    kind: DeviceKind
    major: int
    minor: int
    host: str
    guest: str
    mode: int = 0o660
    uid: int = 0
    gid: int = 0
    access: str = "rwm"
    image: str | None = None
    groups: tuple[str, ...] = ()
    asked_by: tuple[str, ...] = ()


class SeccompProfile(Enum):
    """Which system calls a guest may make before what its definition adds or takes away."""

    DEFAULT = "default"  # the allow list of `engine.policy.syscalls`
    MIGRATABLE = "migratable"  # and no nested namespaces that CRIU could not dump: what save and migration need
    UNCONFINED = "unconfined"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seccomp:
    """The system call filter. allow, refuse: names added to and taken from the profile.

    families, netlink, transports: sockets beyond the usual ones, by the names of `policy.socketpolicy`; upper_layers:
    TCP may be given upper layers such as the kernel's TLS; packet_rings: packet sockets may share a ring with the
    kernel; new_mounts: file systems that are not mounted yet may be, and whole ones be changed; None: only in a user
    namespace.
    """

    profile: SeccompProfile = SeccompProfile.DEFAULT
    allow: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    netlink: tuple[str, ...] = ()
    transports: tuple[str, ...] = ()
    upper_layers: bool = False
    packet_rings: bool = False
    new_mounts: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """What is executed, by the guest's own paths and names.

    argv: the program and its arguments; env: what of the environment it is given; cwd: None for the root directory, and
    for who enters the home of the user, if that can be entered; user, group: a name of the guest's /etc/passwd or
    /etc/group or a number, None for root.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = "/"
    user: str | None = None
    group: str | None = None


def command_words(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command's words. Raises: TypeError for what is none; one text would be taken for its letters."""
    if isinstance(argv, str | bytes):
        raise TypeError(f"{argv!r} is one text: give a command as a list of words, such as ['ls', '-l']")
    wrong = next((each for each in argv if not isinstance(each, str)), None)
    if wrong is not None:
        raise TypeError(f"{wrong!r} is no word of a command, but {type(wrong).__name__}: give texts")
    return tuple(argv)


class GroupLayout(Enum):
    """What a guest sees at /sys/fs/cgroup."""

    FITTING = "fitting"
    """V1 if its init knows nothing else, else V2."""
    V1 = "v1"
    """A hierarchy without controllers, named systemd, at /sys/fs/cgroup/systemd."""
    V2 = "v2"


class InitKind(IntEnum):
    """How the guest's init wants to be told to stop; found by looking at it (`engine.guestinit`)."""

    PLAIN = 0
    SYSTEMD = 1
    SYSVINIT = 2
    BUSYBOX = 3
    OPENRC = 4
    RUNIT = 5
    S6 = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class CgroupPlacement:
    """Where the container's control groups are made.

    partition: below the hierarchy's root, such as `machine.slice` (leading slash ignored); name: of the group, with
    `{id}` standing for the domain's id (the init's pid on the host); None chooses libvirt's name for driver `lxc`.
    """

    partition: str = "machine.slice"
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NameFiles:
    """Where a root has what names mean, as it is before the guest starts.

    resolver: the path of what /etc/resolv.conf leads to, without a leading slash; there: whether that is there;
    resolved: whether systemd-resolved keeps it; hosts: what /etc/hosts says.
    """

    resolver: str = "etc/resolv.conf"
    there: bool = True
    resolved: bool = False
    hosts: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedNamespace:
    """Join an existing namespace, by its file on the host such as `/run/netns/web` or `/proc/PID/ns/net`."""

    kind: Namespace
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerSpec:
    """One container. Only a name and a root are required; everything else has a safe default.

    idmap: None makes a privileged container, which must be asked for with `privileged=True`; capabilities: names kept
    (lower case, without `cap_`); None for the default set of `engine.policy.capabilities`; resolver: what its
    /etc/resolv.conf says if no nameservers are given, None for what its root has; search_domains: that names without a
    dot are looked for in; hosts: addresses and their names, for its /etc/hosts; name_files: where its root has those
    files (`engine.guestnames`); skipped_units: units that systemd inside passes over, as they could but fail
    (`engine.guestroot`); knows_v2: its init begins where all there is is cgroup v2 (`engine.systemdversion`);
    machine_id: 32 hexadecimal digits that systemd inside uses; uuid: as libvirt tells guests;
    init.env: variables of the container interface (container, container_uuid, PATH, TERM, …) are added where missing;
    time_offsets: seconds added to the (monotonic, boottime) clocks, in a time namespace; network_share: what of the
    host's network it may use, for `NetworkKind.HOST` only; None: all of it; inherited_fds: how many of the caller's fds
    init gets, from 3 on (systemd's LISTEN_FDS convention); notifies: init can say that it is ready, through a socket
    (`engine.notices`); seated: which of the host's processors it has is chosen for each launch; consoles: how many; the
    first is /dev/console, every one has a tty node; channels: names of lines without a terminal's manners, below
    /dev/virtio-ports; machine_view: it reads of a machine of its own (`engine.machineviews`), where the host has FUSE;
    core_dumps: None: what its programs had in memory when they crash is dropped; profile: the AppArmor profile of its
    programs, None for ours where the host has it, an empty name for none.
    """

    name: str
    root: Root
    uuid: str
    init: Process = Process(argv=("/sbin/init",))
    init_kind: InitKind = InitKind.PLAIN
    hostname: str | None = None
    idmap: IdMap | None = None
    privileged: bool = False
    namespaces: frozenset[Namespace] = ALL_NAMESPACES
    shared_namespaces: tuple[SharedNamespace, ...] = ()
    time_offsets: tuple[int, int] | None = None
    machine_view: bool = False
    network: NetworkKind = NetworkKind.PRIVATE
    network_share: NetworkShare | None = None
    interfaces: tuple[Interface, ...] = ()
    nameservers: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    name_files: NameFiles = NameFiles()
    resolver: str | None = None
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    consoles: int = 1
    channels: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    seated: bool = False
    resource_limits: tuple[ResourceLimit, ...] = ()
    memory_policy: MemoryPolicy | None = None
    cgroup: CgroupPlacement = field(default_factory=CgroupPlacement)
    group_layout: GroupLayout = GroupLayout.FITTING
    knows_v2: bool = True
    capabilities: frozenset[str] | None = None
    seccomp: Seccomp = field(default_factory=Seccomp)
    no_new_privileges: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()
    skipped_units: tuple[str, ...] = ()
    machine_id: str | None = None
    inherited_fds: int = 0
    core_dumps: CorePlace | None = None
    profile: str | None = None
    notifies: bool = False
