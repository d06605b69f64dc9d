"""What stands outside libvirt's common XML: its LXC namespace, `<metadata>`, and our settings inside it.

`<metadata>` holds one element a namespace (libvirt's rule); ours is `<insula:domain>`, so that
`virsh metadata DOMAIN --uri https://insula.dev/xmlns/domain/1` reads and writes all our settings at once.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.model.bootorder import Dependency, StartPlace
from insula.model.devicegrants import DeviceGrant
from insula.model.guestlimits import (
    CompressedSwap,
    ControlFile,
    CountedResource,
    CpuClass,
    DeviceLatency,
    HugePages,
)
from insula.model.healthchecks import DefinedHealthCheck
from insula.model.probes import DefinedReadiness
from insula.model.scalars import UNLIMITED, Bound, IpAddress, IpAddresses, PortRanges, YesNo
from insula.model.sizes import KiB
from insula.model.xmlmap import Attribute, Element, Mapped

CORE_USUAL = KiB(512 * 1024)
SECONDS = (-(2**31), 2**31 - 1)

PIDS_MAX = 2**22
"""Processes and threads that Linux can have. Source: proc_sys_kernel(5), pid_max."""


class ShareType(StrEnum):
    """How the other namespace is named."""

    NETNS = "netns"  # a name below /run/netns
    NAME = "name"  # another domain
    PID = "pid"  # any process


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedShare(Mapped):
    """`<lxc:sharenet type='netns' value='red'/>`: join this namespace instead of making one."""

    type: Annotated[ShareType, Attribute("type")]
    value: Annotated[str, Attribute("value")]


@dataclass(frozen=True, kw_only=True, slots=True)
class LxcNamespace(Mapped):
    """`<lxc:namespace>`: namespaces shared with others."""

    network: Annotated[DefinedShare | None, Element("lxc:sharenet")] = None
    ipc: Annotated[DefinedShare | None, Element("lxc:shareipc")] = None
    uts: Annotated[DefinedShare | None, Element("lxc:shareuts")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockShift(Mapped):
    """`<insula:boottime seconds='' nanoseconds=''>`: what is added to one of the host's clocks in a time namespace."""

    seconds: Annotated[int, Attribute("seconds", within=SECONDS)] = 0
    nanoseconds: Annotated[int, Attribute("nanoseconds", within=(0, 999_999_999))] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeNamespace(Mapped):
    """`<insula:timens>`: the guest gets a time namespace of its own. Source: time_namespaces(7)."""

    monotonic: Annotated[ClockShift | None, Element("insula:monotonic")] = None
    boot_time: Annotated[ClockShift | None, Element("insula:boottime")] = None


class ShownGroups(StrEnum):
    """Which control groups a guest sees."""

    V1 = "v1"  # a hierarchy named systemd, without controllers
    V2 = "v2"


class KernelFeature(StrEnum):
    """Parts of the kernel that a guest reaches only when it is allowed to."""

    IO_URING = "io-uring"  # io_uring(7), whose sockets no filter sees
    KEYRINGS = "keyrings"  # add_key(2), keyctl(2), request_key(2)
    PACKET_RINGS = "packet-rings"  # rings of packet sockets, whose memory no limit counts
    MOUNTS = "mounts"  # file systems that are not mounted yet, where there is no user namespace
    TCP_ULP = "tcp-ulp"  # upper layers of TCP, such as the kernel's TLS
    USERFAULTFD = "userfaultfd"  # userfaultfd(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedFeature(Mapped):
    """`<insula:allow family='can'/>`: one thing that guests are refused by default. Exactly one attribute.

    family: of sockets; netlink, transport: protocols of netlink and of IP; all by the names of the man pages.
    """

    family: Annotated[str | None, Attribute("family")] = None
    netlink: Annotated[str | None, Attribute("netlink")] = None
    transport: Annotated[str | None, Attribute("transport")] = None
    feature: Annotated[KernelFeature | None, Attribute("feature")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedLimit(Mapped):
    """`<insula:rlimit name='nofile' soft='1024' hard='unlimited'/>`: a resource limit that the guest begins with.

    name: as in getrlimit(2), in small letters and without `rlimit_`; one of both bounds that is not there is the other.
    """

    name: Annotated[str, Attribute("name")]
    soft: Annotated[Bound | None, Attribute("soft")] = None
    hard: Annotated[Bound | None, Attribute("hard")] = None

    @property
    def bounds(self) -> tuple[Bound, Bound]:
        """The soft and the hard limit; both unlimited if none is given, which is refused elsewhere."""
        soft = self.soft if self.soft is not None else self.hard
        hard = self.hard if self.hard is not None else self.soft
        return UNLIMITED if soft is None else soft, UNLIMITED if hard is None else hard


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelSetting(Mapped):
    """`<insula:sysctl name='net.ipv4.ip_forward' value='1'/>`: a setting of the guest's namespaces: sysctl(8)."""

    name: Annotated[str, Attribute("name")]
    value: Annotated[str, Attribute("value")]


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedCoreDumps(Mapped):
    """`<insula:coredumps pattern='/var/crash/core.%e.%p'>`: where cores of the guest's programs are kept, inside.

    limit: of one core, None for CORE_USUAL. It acts where the host's core_pattern names our program for it.
    """

    pattern: Annotated[str, Attribute("pattern")]
    limit: Annotated[KiB | None, Element("insula:limit", unit="unit")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownHost(Mapped):
    """`<insula:host address='192.0.2.1' names='db db.example'/>`: a line of the guest's /etc/hosts."""

    address: Annotated[IpAddress, Attribute("address")]
    names: Annotated[str, Attribute("names")]


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedNetworkShare(Mapped):
    """`<insula:share-network addresses='192.0.2.7 2001:db8::7' ports='80 443'/>`: the host's network, by these only.

    ports: that it may bind to, None for all.
    """

    addresses: Annotated[IpAddresses, Attribute("addresses")]
    ports: Annotated[PortRanges | None, Attribute("ports")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InsulaSettings(Mapped):
    """`<insula:domain>`: what libvirt has no words for.

    privileged: no user namespace, the guest's root is the host's; open_namespace: clients may be given the namespaces
    of an unprivileged domain, which they then enter with the host's ids; hostname: None for the domain's name;
    confine_vcpus: whether its virtual processors are as many of the host's, None for as the daemon has it;
    machine_view: whether the guest reads of a machine of its own, None for as the daemon has it; shown_groups: which
    control groups it sees, None for those that its init knows;
    subordinate_ids: how many ids from 100000 on the guest's users may give to containers of theirs, None for the
    usual; network_share: which part of the host's network it has instead of one of its own; pids_limit: processes and
    threads at most; cpu, zswap, latencies, huge_pages, misc, control_files: its other limits (`guestlimits`);
    nameservers: of the guest's resolver, in this order; search_domains: that it looks for names without a dot in;
    hosts: lines of its /etc/hosts; core_dumps: None: none are kept; allowed: what the guest's system call filter lets
    through besides; grants: devices of the host by their classes; limits: of each of its processes, to begin with;
    start_place: where it stands among those that start with the host; readiness: by what it is known to be ready, None
    for as it runs; health: how it is looked after; depends_on: other domains that are to be up before it.
    """

    privileged: Annotated[bool, Element("insula:privileged")] = False
    open_namespace: Annotated[bool, Element("insula:opennamespace")] = False
    hostname: Annotated[str | None, Element("insula:hostname")] = None
    nameservers: Annotated[tuple[IpAddress, ...], Element("insula:nameserver", attribute="address")] = ()
    search_domains: Annotated[tuple[str, ...], Element("insula:search", attribute="domain")] = ()
    hosts: Annotated[tuple[KnownHost, ...], Element("insula:host")] = ()
    network_share: Annotated[DefinedNetworkShare | None, Element("insula:share-network")] = None
    subordinate_ids: Annotated[int | None, Element("insula:subordinate", attribute="ids", within=(0, 2**24))] = None
    confine_vcpus: Annotated[YesNo | None, Element("insula:vcpus", attribute="confine")] = None
    machine_view: Annotated[YesNo | None, Element("insula:view", attribute="enabled")] = None
    shown_groups: Annotated[ShownGroups | None, Element("insula:cgroups", attribute="layout")] = None
    pids_limit: Annotated[int | None, Element("insula:pids", attribute="limit", within=(1, PIDS_MAX))] = None
    cpu: Annotated[CpuClass | None, Element("insula:cpu")] = None
    zswap: Annotated[CompressedSwap | None, Element("insula:zswap")] = None
    latencies: Annotated[tuple[DeviceLatency, ...], Element("insula:latency")] = ()
    huge_pages: Annotated[tuple[HugePages, ...], Element("insula:hugepages")] = ()
    misc: Annotated[tuple[CountedResource, ...], Element("insula:misc")] = ()
    control_files: Annotated[tuple[ControlFile, ...], Element("insula:cgroup")] = ()
    time_namespace: Annotated[TimeNamespace | None, Element("insula:timens")] = None
    limits: Annotated[tuple[DefinedLimit, ...], Element("insula:rlimit")] = ()
    kernel_settings: Annotated[tuple[KernelSetting, ...], Element("insula:sysctl")] = ()
    core_dumps: Annotated[DefinedCoreDumps | None, Element("insula:coredumps")] = None
    allowed: Annotated[tuple[AllowedFeature, ...], Element("insula:allow")] = ()
    grants: Annotated[tuple[DeviceGrant, ...], Element("insula:device")] = ()
    start_place: Annotated[StartPlace | None, Element("insula:autostart")] = None
    readiness: Annotated[DefinedReadiness | None, Element("insula:readiness")] = None
    health: Annotated[DefinedHealthCheck | None, Element("insula:healthcheck")] = None
    depends_on: Annotated[tuple[Dependency, ...], Element("insula:depends-on")] = ()

    @property
    def is_probed(self) -> bool:
        """Whether the guest is to be tried while it runs, for its readiness or its health."""
        return self.readiness is not None or self.health is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata(Mapped):
    """`<metadata>`: our settings, and other people's elements kept beside them."""

    settings: Annotated[InsulaSettings | None, Element("insula:domain")] = None
