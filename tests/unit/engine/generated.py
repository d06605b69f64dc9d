"""Hypothesis strategies: containers that may be launched, of every kind there is."""

from dataclasses import replace

from hypothesis import strategies as some
from hypothesis.strategies import SearchStrategy

from insula.engine.fragments.speccheck import CONSOLES_MAX, SHAREABLE
from insula.engine.interfacespec import (
    Address,
    Interface,
    MacvlanInterface,
    MacvlanMode,
    MovedInterface,
    NetworkKind,
    Route,
    VethInterface,
)
from insula.engine.passednumbers import PASSED_FDS_MAX
from insula.engine.spec import (
    ALL_NAMESPACES,
    Access,
    BindMount,
    Bytes,
    CgroupPlacement,
    ContainerSpec,
    Device,
    DeviceKind,
    DirectoryRoot,
    GuestBindMount,
    IdMap,
    IdRange,
    ImageMount,
    InitKind,
    Limits,
    Microseconds,
    Mount,
    Namespace,
    OverlayRoot,
    Process,
    ResourceLimit,
    Root,
    Seccomp,
    SeccompProfile,
    SharedNamespace,
    TmpfsMount,
    TmpfsRoot,
)
from insula.kernel.cgroups import BlockLimit
from insula.kernel.interfacenames import is_interface_name

words = some.text(some.characters(categories=["L", "N", "P", "Zs"], exclude_characters="/"), min_size=1, max_size=12)
paths = some.lists(words.filter(lambda word: word not in {".", ".."}), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
numbers = some.integers(0, 1 << 40)
sizes = some.none() | numbers.map(Bytes)
access = some.sampled_from(Access)
uuids = some.uuids().map(str)
addresses = some.builds(Address, address=some.ip_addresses().map(str), prefix=some.integers(0, 32))
routes = some.builds(Route, gateway=some.none() | some.just("192.0.2.1"), metric=some.none() | numbers)


def several(element: SearchStrategy[object], most: int = 3) -> SearchStrategy[tuple[object, ...]]:
    return some.lists(element, max_size=most).map(tuple)


roots: SearchStrategy[Root] = some.one_of(
    some.builds(DirectoryRoot, path=paths, access=access, idmapped=some.booleans()),
    some.builds(
        OverlayRoot,
        lower=some.lists(paths, min_size=1, max_size=3).map(tuple),
        upper=paths,
        work=paths,
        access=access,
    ),
    some.builds(TmpfsRoot, lower=some.lists(paths, min_size=1, max_size=3).map(tuple), size=sizes),
)
mounts: SearchStrategy[Mount] = some.one_of(
    some.builds(
        BindMount, source=paths, target=paths, access=access, idmapped=some.booleans(), recursive=some.booleans()
    ),
    some.builds(TmpfsMount, target=paths, size=sizes, mode=some.integers(0, 0o7777), access=access),
    some.builds(ImageMount, source=paths, target=paths, fstype=some.none() | some.just("ext4"), access=access),
    some.builds(GuestBindMount, source=paths, target=paths, access=access),
)
names = some.text("ab0-.", min_size=1, max_size=15).filter(is_interface_name)
interfaces: SearchStrategy[Interface] = some.one_of(
    some.builds(
        VethInterface,
        guest=names,
        host=some.none() | names,
        bridge=some.none() | words,
        mtu=some.none() | numbers,
        up=some.booleans(),
        addresses=several(addresses),
        routes=several(routes),
    ),
    some.builds(
        MacvlanInterface, guest=names, device=names, mode=some.sampled_from(MacvlanMode), addresses=several(addresses)
    ),
    some.builds(MovedInterface, guest=names, device=names, addresses=several(addresses), routes=several(routes)),
)


def _outside(interface: Interface) -> object:
    """What no two interfaces of a container may have the same of on the host."""
    if isinstance(interface, VethInterface):
        return ("host", interface.host) if interface.host is not None else object()
    return ("moved", interface.device) if isinstance(interface, MovedInterface) else object()


devices = some.builds(
    Device,
    kind=some.sampled_from(DeviceKind),
    major=some.integers(0, 511),
    minor=some.integers(0, 255),
    host=paths,
    guest=words,
    mode=some.integers(0, 0o777),
    uid=some.integers(0, 999),
    gid=some.integers(0, 999),
    access=some.sampled_from(["rwm", "r", "rw", ""]),
)
limits = some.builds(
    Limits,
    memory=sizes,
    memory_and_swap=sizes,
    cpu_quota=some.none() | numbers.map(Microseconds),
    cpus=some.none() | some.just("0-3"),
    block_devices=several(some.builds(BlockLimit, major=numbers, minor=numbers, read_bytes=some.none() | numbers)),
    pids=some.none() | numbers,
)
processes = some.builds(
    Process,
    argv=some.lists(words, min_size=1, max_size=3).map(tuple),
    env=some.dictionaries(words, words, max_size=3).map(lambda variables: tuple(variables.items())),
    cwd=paths,
    user=some.none() | words,
    group=some.none() | words,
)
resource_limits = some.builds(
    ResourceLimit,
    name=some.sampled_from(["NOFILE", "NPROC", "CORE"]),
    soft=some.none() | numbers,
    hard=some.none() | numbers,
)


@some.composite
def id_maps(draw: some.DrawFn) -> IdMap:
    """Maps of one range or two, which overlap nowhere and have a root."""
    first, count = draw(some.integers(1, 1 << 24)), draw(some.integers(1000, 1 << 16))
    ranges = [IdRange(inside=0, outside=first, count=count)]
    if draw(some.booleans()):
        ranges.append(IdRange(inside=count + 5, outside=first + count, count=1))
    return IdMap(uids=tuple(ranges), gids=tuple(ranges))


@some.composite
def specs(draw: some.DrawFn) -> ContainerSpec:
    """Containers that pass the check on a host which has everything."""
    spec = draw(
        some.builds(
            ContainerSpec,
            name=words.filter(lambda word: word not in {".", ".."}),
            root=roots,
            uuid=uuids,
            init=processes,
            init_kind=some.sampled_from(InitKind),
            hostname=some.none() | some.just("web.example"),
            idmap=id_maps(),
            time_offsets=some.none() | some.tuples(some.integers(-9, 9), some.integers(-9, 9)),
            nameservers=several(some.ip_addresses().map(str)),
            mounts=several(mounts, 5),
            devices=several(devices),
            consoles=some.integers(0, CONSOLES_MAX),
            limits=limits,
            resource_limits=several(resource_limits),
            cgroup=some.builds(CgroupPlacement, partition=words, name=some.none() | words),
            capabilities=some.none() | some.frozensets(some.sampled_from(["chown", "kill", "sys_boot", "mknod"])),
            seccomp=some.builds(
                Seccomp, profile=some.sampled_from(SeccompProfile), allow=several(some.sampled_from(["bpf", "ptrace"]))
            ),
            no_new_privileges=some.booleans(),
            machine_id=some.none() | some.uuids().map(lambda uuid: uuid.hex),
            inherited_fds=some.integers(0, PASSED_FDS_MAX),
        )
    )
    if draw(some.booleans()):
        spec = replace(spec, idmap=None, privileged=True)
    optional = sorted(ALL_NAMESPACES - {Namespace.MOUNT, Namespace.PID}, key=str)
    missing = draw(some.frozensets(some.sampled_from(optional), max_size=2))
    spec = replace(spec, namespaces=ALL_NAMESPACES - missing)
    shared = draw(some.lists(some.sampled_from(sorted(SHAREABLE, key=str)), unique=True, max_size=2))
    spec = replace(spec, shared_namespaces=tuple(SharedNamespace(kind=kind, path="/run/netns/a") for kind in shared))
    if Namespace.NETWORK in {*missing, *shared}:
        return spec
    if draw(some.booleans()):
        return replace(spec, network=NetworkKind.HOST)
    sysctls = (("net.ipv4.ip_forward", "1"),) if draw(some.booleans()) else ()
    cards = draw(some.lists(interfaces, max_size=3, unique_by=(lambda each: each.guest, _outside)))
    return replace(spec, interfaces=tuple(cards), sysctls=sysctls)
