from pathlib import Path

from insula.kernel.cgroups.hierarchies import Hierarchies, Mode, V1Hierarchy, parse_mounts

HYBRID = """\
25 1 0:21 / /sys rw - sysfs sysfs rw
31 25 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct
33 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
35 31 0:31 / /sys/fs/cgroup/foreign rw - cgroup cgroup rw,name=foreign
36 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
37 31 0:32 / /mnt/elsewhere rw - cgroup2 cgroup2 rw
38 31 0:29 / /sys/fs/cgroup/again rw,relatime - cgroup cgroup rw,memory
"""
UNIFIED = "31 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_a_hybrid_host_has_its_v1_mounts_and_the_unified_one() -> None:
    v1, v2 = parse_mounts(HYBRID, "/sys/fs/cgroup")
    assert v1 == (
        V1Hierarchy(mount="/sys/fs/cgroup/cpu,cpuacct", controllers=("cpu", "cpuacct")),
        V1Hierarchy(mount="/sys/fs/cgroup/memory", controllers=("memory",)),
        V1Hierarchy(mount="/sys/fs/cgroup/systemd", controllers=("name=systemd",)),
    )
    assert v2 == "/sys/fs/cgroup/unified"


def test_a_unified_host_has_one_mount() -> None:
    assert parse_mounts(UNIFIED, "/sys/fs/cgroup") == ((), "/sys/fs/cgroup")


def test_mounts_elsewhere_do_not_count() -> None:
    assert parse_mounts(HYBRID, "/mnt") == ((), "/mnt/elsewhere")


def test_a_mount_point_with_a_space_is_read() -> None:
    line = r"31 25 0:27 / /sys/fs/cg\040roup rw - cgroup2 cgroup2 rw"
    assert parse_mounts(line, "/sys/fs") == ((), "/sys/fs/cg roup")


def test_the_mode_follows_from_what_is_mounted() -> None:
    memory = V1Hierarchy(mount="/c/memory", controllers=("memory",))
    assert Hierarchies(v2="/c").mode is Mode.V2
    assert Hierarchies(v2="/c/unified", v1=(memory,)).mode is Mode.HYBRID
    assert Hierarchies(v1=(memory,)).mode is Mode.V1


def test_a_controller_is_found_where_it_is_mounted() -> None:
    both = Hierarchies(
        v1=(V1Hierarchy(mount="/c/cpu", controllers=("cpu", "cpuacct")),), v2="/c/unified", v2_controllers=("hugetlb",)
    )
    assert both.v1_mount("cpuacct") == "/c/cpu"
    assert both.v1_mount("hugetlb") is None
    assert both.mounts == ("/c/cpu", "/c/unified")
    assert both.controllers() == ("cpu", "cpuacct", "hugetlb")


def test_this_host_is_described_as_the_kernel_does() -> None:
    here = Hierarchies.detect()
    assert {f"{mount} " in Path("/proc/self/mountinfo").read_text() for mount in here.mounts} <= {True}
    assert {"cgroup.procs", "cgroup.subtree_control"} <= set(here.delegate)
