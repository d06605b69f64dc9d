"""A host in a directory, for views: a few files of /proc and /sys, and a guest's control groups of either kind."""

from collections.abc import Mapping
from pathlib import Path

from insula.kernel.cgroups.hierarchies import Hierarchies, V1Hierarchy
from insula.view.hostmachine import HostMachine
from insula.view.viewedfiles import ViewedGuest, ViewedIds

GROUP = "machine.slice/machine-web.scope"
MIB = 1 << 20
_PROC = {
    "meminfo": "MemTotal: 8388608 kB\nMemFree: 4194304 kB\nMemAvailable: 6291456 kB\nBuffers: 1000 kB\n"
    "Cached: 1000 kB\nSwapTotal: 2097152 kB\nSwapFree: 1048576 kB\nShmem: 10 kB\n",
    "vmstat": "nr_free_pages 1\npgpgin 5\npgfault 7\nnuma_hit 8\n",
    "cpuinfo": "".join(
        f"processor\t: {number}\nmodel name\t: A processor\nphysical id\t: {number // 4}\nsiblings\t: 4\n"
        f"core id\t\t: {number % 4 // 2}\ncpu cores\t: 2\nflags\t\t: fpu\n\n"
        for number in range(8)
    ),
}
_V1 = {
    "memory/memory.stat": "cache 1\ntotal_cache 104857600\ntotal_rss 52428800\ntotal_shmem 1048576\n"
    "total_swap 2097152\ntotal_pgfault 99\ntotal_inactive_file 62914560\ntotal_active_file 31457280\n"
    "hierarchical_memory_limit 536870912\nhierarchical_memsw_limit 671088640\n",
    "memory/memory.usage_in_bytes": "209715200\n",
    "memory/memory.kmem.usage_in_bytes": "4194304\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    "cpuset/cpuset.cpus": "1,3\n",
    "cpuset/cpuset.effective_cpus": "1,3\n",
    "cpuset/cpuset.effective_mems": "0\n",
    "cpu/cpu.stat": "nr_periods 10\nnr_throttled 2\nthrottled_time 3000000000\n",
    "cpuacct/cpuacct.usage_all": "cpu user system\n0 0 0\n1 5000000000 1000000000\n2 0 0\n3 2000000000 500000000\n",
    "cpuacct/cpuacct.usage_percpu": "0 6000000000 0 2500000000 \n",
    "pids/pids.current": "42\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "254:0 Read 1048576\n254:0 Write 2097152\nTotal 3145728\n",
    "blkio/blkio.throttle.io_serviced_recursive": "254:0 Read 16\n254:0 Write 32\nTotal 48\n",
}
_PRESSURE = "some avg10=1.00 avg60=0.50 avg300=0.10 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=678\n"
_V2 = {
    "memory.stat": "anon 52428800\nfile 104857600\nkernel_stack 65536\npagetables 131072\nshmem 1048576\n"
    "inactive_file 62914560\nactive_file 31457280\nslab_reclaimable 8388608\nslab_unreclaimable 4194304\npgfault 99\n",
    "memory.current": "209715200\n",
    "memory.max": "536870912\n",
    "memory.swap.max": "134217728\n",
    "memory.swap.current": "2097152\n",
    "memory.events": "low 0\nhigh 0\nmax 5\noom 3\noom_kill 3\n",
    "cpuset.cpus.effective": "1,3\n",
    "cpuset.mems.effective": "0\n",
    "cpu.stat": "usage_usec 8500000\nuser_usec 7000000\nsystem_usec 1500000\nnr_periods 10\nnr_throttled 2\n"
    "throttled_usec 2000000\n",
    "payload/cpu.stat": "usage_usec 1\nthrottled_usec 1000000\n",
    "pids.current": "42\n",
    "io.stat": "254:0 rbytes=1048576 wbytes=2097152 rios=16 wios=32 dbytes=0 dios=0\n",
    "io.pressure": _PRESSURE,
    "memory.pressure": _PRESSURE,
    "cpu.pressure": _PRESSURE,
}


def write(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _viewed(hierarchies: Hierarchies) -> ViewedGuest:
    return ViewedGuest(
        uuid="6c4e2a1e-0000-4000-8000-000000000001",
        launch="0123456789abcdef",
        name="web",
        hierarchies=hierarchies,
        group=GROUP,
        pid=4711,
        born=0,
        uids=(ViewedIds(inside=0, outside=1_000_000, count=65536),),
        gids=(ViewedIds(inside=0, outside=1_000_000, count=65536),),
    )


def on_v1(directory: Path) -> ViewedGuest:
    """Return a guest on a host with hierarchies of v1 only."""
    names = {name.partition("/")[0] for name in _V1}
    write(directory, {name.replace("/", f"/{GROUP}/", 1): text for name, text in _V1.items()})
    v1 = tuple(V1Hierarchy(mount=f"{directory}/{name}", controllers=(name,)) for name in sorted(names))
    return _viewed(Hierarchies(v1=v1))


def on_v2(directory: Path) -> ViewedGuest:
    """Return a guest on a host with the v2 hierarchy only."""
    write(directory / GROUP, _V2)
    controllers = ("cpuset", "cpu", "io", "memory", "pids")
    return _viewed(Hierarchies(v2=str(directory), v2_controllers=controllers))


def host_machine(directory: Path) -> HostMachine:
    """Return a host of eight processors in two packages and nodes of four."""
    write(directory / "proc", _PROC)
    cpu = directory / "sys/devices/system/cpu"
    write(cpu, dict.fromkeys(("online", "possible", "present", "enabled"), "0-7\n"))
    write(cpu, {"offline": "\n", "kernel_max": "255\n", "isolated": "1-2\n", "cpuidle/current_driver": "idle\n"})
    for number in range(8):
        package = range(number // 4 * 4, number // 4 * 4 + 4)
        mask = sum(1 << each for each in package)
        topology = {
            "core_siblings": f"{mask:02x}\n",
            "core_siblings_list": f"{package[0]}-{package[-1]}\n",
            "core_id": f"{number % 4 // 2}\n",
            "physical_package_id": f"{number // 4}\n",
        }
        write(cpu / f"cpu{number}/topology", topology)
        write(cpu / f"cpu{number}/cpuidle/state0", {"time": "77\n"})
        write(cpu / f"cpufreq/policy{number}", {"related_cpus": f"{number} 5\n", "stats/time_in_state": "1 2\n"})
        (cpu / f"cpu{number}/node{number // 4}").symlink_to(f"../../node/node{number // 4}")
        (cpu / f"cpu{number}/crash_notes").touch(mode=0o400)
    node = directory / "sys/devices/system/node"
    write(node, dict.fromkeys(("online", "possible", "has_cpu", "has_memory"), "0-1\n"))
    for number in range(2):
        files = {
            "cpulist": f"{number * 4}-{number * 4 + 3}\n",
            "cpumap": "0f\n" if number == 0 else "f0\n",
            "distance": "10 20\n" if number == 0 else "20 10\n",
            "meminfo": f"Node {number} MemTotal: 4194304 kB\nNode {number} MemFree: 100 kB\n",
            "numastat": "numa_hit 5\nnuma_miss 6\n",
            "hugepages/hugepages-2048kB/nr_hugepages": "3\n",
        }
        write(node / f"node{number}", files)
    block = directory / "sys/dev/block"
    block.mkdir(parents=True)
    (block / "254:0").symlink_to("../../devices/virtio/block/vda")
    return HostMachine(str(directory))
