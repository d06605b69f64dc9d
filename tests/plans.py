"""Recorded facts of hosts, specs, and the golden plans and programs made of them.

`python -m tests.plans` writes both anew.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from insula.engine.facts import Facts
from insula.engine.interfacespec import Address, NetworkKind, NetworkShare, VethInterface
from insula.engine.launch.programs import compiled_start
from insula.engine.launch.systemdscope import Manager
from insula.engine.plan.planner import plan
from insula.engine.program.builder import Builder
from insula.engine.program.disassembly import listed
from insula.engine.spec import (
    Access,
    BindMount,
    Bytes,
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
    Namespace,
    OverlayRoot,
    Process,
    ResourceLimit,
    SharedNamespace,
    TmpfsMount,
    TmpfsRoot,
)
from insula.kernel.cgroups import Hierarchies
from insula.kernel.cgroups.hierarchies import V1Hierarchy

DIRECTORY = Path(__file__).parent / "data/plans"

UNIFIED = Facts(
    hierarchies=Hierarchies(v2="/sys/fs/cgroup", v2_controllers=("cpuset", "cpu", "io", "memory", "pids")),
    kernel="6.12.0",
    pids_max=4194304,
    chosen_pids=True,
    detached_layers=False,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
    filesystems=frozenset({"proc", "sysfs", "tmpfs", "devpts", "cgroup2", "mqueue", "overlay", "ext4"}),
)
"""Pure v2, before 6.15, no systemd."""

SYSTEMD = replace(UNIFIED, manager=Manager.MACHINED)
"""The same run by systemd."""

HYBRID = replace(
    UNIFIED,
    hierarchies=Hierarchies(
        v1=tuple(
            V1Hierarchy(mount=f"/sys/fs/cgroup/{name.removeprefix('name=')}", controllers=(name,))
            for name in ("cpu", "cpuset", "memory", "devices", "pids", "name=systemd")
        ),
        v2="/sys/fs/cgroup/unified",
        v2_controllers=("hugetlb",),
    ),
    kernel="6.18.0",
    detached_layers=True,
)
"""Controllers in v1 hierarchies, a v2 one beside them."""

CONFINED = replace(UNIFIED, chosen_pids=False, device_nodes=False, keyrings=False)
"""Ourselves inside a container: no choice of pids, no device nodes."""

VIEWING = replace(
    HYBRID, viewed=("proc/meminfo", "proc/cpuinfo", "proc/stat", "proc/uptime", "sys/devices/system/cpu", "dev/kmsg")
)
"""The same with FUSE."""

_RANGES = (IdRange(inside=0, outside=100000, count=65536),)

BUSYBOX = ContainerSpec(
    name="box",
    uuid="4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
    root=DirectoryRoot(path="/srv/box"),
    idmap=IdMap(uids=_RANGES, gids=_RANGES),
    init_kind=InitKind.BUSYBOX,
)

DEBIAN = replace(
    BUSYBOX,
    name="web",
    root=OverlayRoot(lower=("/images/debian-12",), upper="/clones/web/upper", work="/clones/web/work"),
    init_kind=InitKind.SYSTEMD,
    consoles=2,
    hostname="web.example",
    nameservers=("192.0.2.53",),
    interfaces=(VethInterface(guest="eth0", bridge="br0", addresses=(Address(address="192.0.2.7", prefix=24),)),),
    limits=Limits(memory=Bytes(1 << 30), cpu_quota=Microseconds(50000), pids=500),
    machine_id="4dea22b31d52d8f32516782e98ab3fa0",
)

PRIVILEGED = replace(DEBIAN, name="tools", idmap=None, privileged=True, interfaces=())

RICH = replace(
    BUSYBOX,
    name="rich",
    root=TmpfsRoot(lower=("/images/a", "/images/b"), size=Bytes(1 << 26)),
    init=Process(argv=("/sbin/init", "--verbose"), env=(("LANG", "C"),), cwd="/srv", user="web", group="staff"),
    mounts=(
        BindMount(source="/srv/data", target="/data", access=Access.READ_ONLY),
        TmpfsMount(target="/tmp", size=Bytes(1 << 20), mode=0o1777),
        ImageMount(source="/srv/disk.img", target="/disk", fstype="ext4"),
        GuestBindMount(source="/data/etc", target="/etc/data"),
    ),
    devices=(
        Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse", mode=0o666, gid=44),
    ),
    resource_limits=(ResourceLimit(name="NOFILE", soft=1024, hard=None),),
    capabilities=frozenset({"chown", "net_admin"}),
    sysctls=(("net.ipv4.ip_forward", "1"),),
    time_offsets=(10, -20),
    no_new_privileges=True,
    inherited_fds=2,
)

SHARED = replace(
    BUSYBOX,
    name="guest-of-a-guest",
    shared_namespaces=(SharedNamespace(kind=Namespace.NETWORK, path="/run/netns/web"),),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One plan that is recorded."""

    name: str
    spec: ContainerSpec
    facts: Facts


CASES = (
    Case(name="busybox-unprivileged-hybrid", spec=BUSYBOX, facts=HYBRID),
    Case(name="busybox-unprivileged-unified", spec=BUSYBOX, facts=UNIFIED),
    Case(name="busybox-confined-host", spec=BUSYBOX, facts=CONFINED),
    Case(name="debian-unprivileged-hybrid", spec=DEBIAN, facts=HYBRID),
    Case(name="debian-unprivileged-unified", spec=DEBIAN, facts=UNIFIED),
    Case(name="debian-unprivileged-systemd", spec=DEBIAN, facts=SYSTEMD),
    Case(name="debian-privileged-unified", spec=PRIVILEGED, facts=UNIFIED),
    Case(name="debian-machine-view-hybrid", spec=replace(DEBIAN, machine_view=True), facts=VIEWING),
    Case(name="rich-unprivileged-hybrid", spec=RICH, facts=HYBRID),
    Case(name="shared-network-unified", spec=SHARED, facts=UNIFIED),
    Case(
        name="network-share-unified",
        spec=replace(
            BUSYBOX,
            network=NetworkKind.HOST,
            network_share=NetworkShare(addresses=("192.0.2.7", "2001:db8::7"), ports=((80, 80), (8000, 8099))),
        ),
        facts=UNIFIED,
    ),
    Case(name="host-network-unified", spec=replace(BUSYBOX, network=NetworkKind.HOST), facts=UNIFIED),
)


def golden(case: Case) -> Path:
    """Return the file with the recorded plan."""
    return DIRECTORY / f"{case.name}.json"


def golden_program(case: Case) -> Path:
    """Return the file with the recorded program of the first process."""
    return DIRECTORY / f"{case.name}.program"


def listing(case: Case) -> str:
    """Return the program of the first process in words, as x86-64 has it, the same on every kernel."""
    program = Builder(
        last_capability=40,
        permitted=(1 << 41) - 1,
        stage=case.spec.uuid,
        most_groups=64,
        machine="x86_64",
    )
    made = program.filled(compiled_start(program, plan(case.spec, case.facts)))
    return "".join(f"{line}\n" for line in listed(made, machine="x86_64"))


def main() -> None:
    """Write all plans and programs anew."""
    for case in CASES:
        golden(case).write_text(json.dumps(plan(case.spec, case.facts).encode(), indent=1) + "\n")
        golden_program(case).write_text(listing(case))


if __name__ == "__main__":
    main()
