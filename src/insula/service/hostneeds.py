"""What of a host Insula makes use of: programs, device nodes, features of the kernel, with what goes without each."""

from dataclasses import dataclass

from insula.engine.hostcheck import Gravity


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededProgram:
    """Programs, one of which is needed; of what package, and for what."""

    id: str
    names: tuple[str, ...]
    package: str
    costs: str
    gravity: Gravity = Gravity.WARNING


PROGRAMS_NEEDED = (
    NeededProgram(
        id="dnsmasq",
        names=("dnsmasq",),
        package="dnsmasq-base",
        costs="virtual networks give out no addresses",
    ),
    NeededProgram(
        id="nft", names=("nft",), package="nftables", costs="virtual networks have no NAT, filters or port forwards"
    ),
    NeededProgram(
        id="user-network",
        names=("pasta", "slirp4netns"),
        package="passt, or slirp4netns",
        costs="interfaces of type 'user' cannot be connected; privileged domains need slirp4netns",
    ),
    NeededProgram(
        id="images",
        names=("mmdebstrap", "debootstrap"),
        package="mmdebstrap",
        costs="no image of Debian or Ubuntu can be built here; images from elsewhere work",
        gravity=Gravity.NOTE,
    ),
    NeededProgram(
        id="virsh", names=("virsh",), package="libvirt-clients", costs="there is no virsh here", gravity=Gravity.NOTE
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelOffer:
    """Something of the kernel's that is a fact. has: the field of `Facts`."""

    id: str
    has: str
    feature: str
    costs: str
    remedy: str
    gravity: Gravity = Gravity.WARNING


KERNEL_OFFERS = (
    KernelOffer(
        id="kernel.detached-layers",
        has="detached_layers",
        feature="overlays of detached mounts",
        costs="roots of images are stacked by paths, which is slower",
        remedy="Linux 6.5 has it",
        gravity=Gravity.NOTE,
    ),
    KernelOffer(
        id="kernel.device-nodes",
        has="device_nodes",
        feature="device nodes that work",
        costs="no guest can be given a device",
        remedy="start insulad where mknod(2) is allowed: not in a container without that power",
        gravity=Gravity.ERROR,
    ),
    KernelOffer(
        id="kernel.time-namespaces",
        has="time_namespaces",
        feature="time namespaces",
        costs="<insula:timens> cannot be had",
        remedy="a kernel with CONFIG_TIME_NS has them",
    ),
    KernelOffer(
        id="kernel.keyrings",
        has="keyrings",
        feature="keyrings",
        costs="<insula:allow feature='keyrings'/> has no effect",
        remedy="a kernel with CONFIG_KEYS has them",
        gravity=Gravity.NOTE,
    ),
    KernelOffer(
        id="kernel.socket-programs",
        has="socket_programs",
        feature="programs that refuse socket options (cgroup v2, BPF)",
        costs="32-bit programs may reach kernel code that guests are refused otherwise",
        remedy="mount cgroup v2; a kernel with CONFIG_CGROUP_BPF has them",
    ),
    KernelOffer(
        id="kernel.address-programs",
        has="address_programs",
        feature="programs that hold sockets to addresses (cgroup v2, BPF)",
        costs="no domain can have a share of the host's network",
        remedy="mount cgroup v2; a kernel with CONFIG_CGROUP_BPF has them",
    ),
    KernelOffer(
        id="kernel.socket-scopes",
        has="socket_scopes",
        feature="Landlock's scopes of abstract sockets",
        costs="a domain with a share of the host's network reaches abstract sockets of the host",
        remedy="Linux 6.12 with CONFIG_SECURITY_LANDLOCK has them",
        gravity=Gravity.NOTE,
    ),
    KernelOffer(
        id="cgroup.swap",
        has="swap_limits",
        feature="limits of swap",
        costs="guests may swap without a limit",
        remedy="swapaccount=1 on the kernel's command line",
    ),
)

NODES_NEEDED = (
    ("/dev/fuse", "guests with FUSE of their own, and their view of the machine, go without", "modprobe fuse"),
    ("/dev/net/tun", "guests make no tunnels, and interfaces of type 'user' cannot be connected", "modprobe tun"),
    ("/dev/loop-control", "image files cannot be roots, file systems or disks", "modprobe loop"),
)
"""Path, what is lacking without it, what to do."""
