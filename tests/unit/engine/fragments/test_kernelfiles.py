"""Tests of insula.engine.fragments.kernelfiles."""

from dataclasses import replace

import pytest

from insula.engine.fragments.kernelfiles import (
    HIDDEN,
    READ_ONLY,
    early_filesystems,
    group_filesystem,
    kernel_filesystems,
    network_settings,
    own_boot,
    protections,
    runtime_directory,
    sees_named_hierarchy,
)
from insula.engine.interfacespec import NetworkKind
from insula.engine.spec import (
    ALL_NAMESPACES,
    Bytes,
    ContainerSpec,
    GroupLayout,
    IdMap,
    IdRange,
    InitKind,
    Limits,
    Namespace,
    Process,
)
from insula.engine.steps.guest.protections import ProtectPaths
from insula.engine.steps.guest.roottree import MakeFile, MakeFilesystem, MountFilesystem
from insula.engine.steps.host.layers import CopyTree
from insula.kernel.cgroups import Hierarchies
from tests.unit.engine.fragments.example import FACTS, PRIVILEGED, SPEC, told


def on_host_network(spec: ContainerSpec) -> ContainerSpec:
    return replace(spec, network=NetworkKind.HOST)


def test_proc_and_a_read_only_sys_are_made_early_without_what_could_hurt() -> None:
    steps = early_filesystems(SPEC)
    assert told(steps) == ["make a proc as proc", "make a sysfs as sys"]
    proc, sys = (step.attributes for step in steps if isinstance(step, MakeFilesystem))
    assert {"nosuid", "nodev", "noexec"} <= set(proc) & set(sys)
    assert "ro" in sys
    assert "ro" not in proc


def test_who_shares_the_hosts_network_is_shown_the_hosts_sys_read_only() -> None:
    spec = on_host_network(SPEC)
    assert told(early_filesystems(spec)) == ["make a proc as proc"]
    (copy,), _ = kernel_filesystems(spec)
    assert isinstance(copy, CopyTree)
    assert (copy.name, copy.path, copy.read_only, copy.idmapped, copy.recursive) == ("sys", "/sys", True, False, False)


@pytest.mark.parametrize("spec", [SPEC, PRIVILEGED, on_host_network(PRIVILEGED)])
def test_the_others_have_a_sys_of_their_own(spec: ContainerSpec) -> None:
    assert "make a sysfs as sys" in told(early_filesystems(spec))
    assert kernel_filesystems(spec)[0] == []


@pytest.mark.parametrize("spec", [SPEC, PRIVILEGED, on_host_network(SPEC), on_host_network(PRIVILEGED)])
def test_whatever_is_shown_has_been_made_or_taken(spec: ContainerSpec) -> None:
    host, inner = kernel_filesystems(spec)
    sources = {step.name for step in early_filesystems(spec) if isinstance(step, MakeFilesystem)}
    sources |= {step.name for step in host if isinstance(step, CopyTree)}
    assert sources == {"proc", "sys"}
    assert told(inner)[:2] == ["show proc at /proc", "show sys at /sys"]


@pytest.mark.parametrize(
    ("namespaces", "v2", "shown"),
    [
        (ALL_NAMESPACES, "/sys/fs/cgroup", True),
        (ALL_NAMESPACES - {Namespace.CGROUP}, "/sys/fs/cgroup", False),
        (ALL_NAMESPACES, None, False),
    ],
)
def test_control_groups_are_shown_only_as_a_namespace_of_its_own(
    namespaces: frozenset[Namespace], v2: str | None, shown: bool
) -> None:
    facts = replace(FACTS, hierarchies=Hierarchies(v2=v2))
    inner = group_filesystem(replace(SPEC, namespaces=namespaces), facts)
    assert ("mount cgroup2 at /sys/fs/cgroup" in told(inner)) == shown
    for step in inner:
        if isinstance(step, MountFilesystem):
            assert set(step.attributes) == {"nosuid", "nodev", "noexec"}


def test_an_init_that_knows_no_unified_hierarchy_is_shown_a_named_one_whatever_the_host_has() -> None:
    old = replace(SPEC, knows_v2=False)
    assert sees_named_hierarchy(replace(SPEC, group_layout=GroupLayout.V1))
    assert not sees_named_hierarchy(replace(old, group_layout=GroupLayout.V2))
    for v2 in (None, "/sys/fs/cgroup"):
        facts = replace(FACTS, hierarchies=Hierarchies(v2=v2))
        assert told(group_filesystem(old, facts)) == [
            "mount tmpfs at /sys/fs/cgroup",
            "mount cgroup at /sys/fs/cgroup/systemd",
        ]
        without = replace(old, namespaces=old.namespaces - {Namespace.CGROUP})
        assert not any("cgroup/systemd" in each for each in told(group_filesystem(without, facts)))


@pytest.mark.parametrize("kind", InitKind)
def test_only_systemd_finds_the_container_interface_below_run(kind: InitKind) -> None:
    steps = runtime_directory(replace(SPEC, init_kind=kind, machine_id="b" * 32), FACTS)
    assert bool(told(steps)) == (kind is InitKind.SYSTEMD)
    if steps:
        mount, *files = steps
        assert isinstance(mount, MountFilesystem)
        assert (mount.fstype, mount.target) == ("tmpfs", "run")
        assert {file.path: file.content for file in files if isinstance(file, MakeFile)} == {
            "run/host/container-manager": "lxc-libvirt\n",
            "run/host/container-uuid": f"{'b' * 32}\n",
        }


@pytest.mark.parametrize(("controllers", "told_by_us"), [(("cpu",), True), (("cpu", "memory"), False)])
def test_logind_is_told_the_size_that_it_cannot_find_out_itself(controllers: tuple[str, ...], told_by_us: bool) -> None:
    facts = replace(FACTS, hierarchies=Hierarchies(v2="/sys/fs/cgroup", v2_controllers=controllers))
    spec = replace(SPEC, init_kind=InitKind.SYSTEMD, limits=Limits(memory=Bytes(1 << 30)))
    written = {step.path: step.content for step in runtime_directory(spec, facts) if isinstance(step, MakeFile)}
    path = "run/systemd/logind.conf.d/00-insula.conf"
    told = f"[Login]\nRuntimeDirectorySize={(1 << 30) // 10}\nRuntimeDirectoryInodesMax=26214\n"
    assert written.get(path) == (told if told_by_us else None)
    unlimited = runtime_directory(replace(spec, limits=Limits()), facts)
    assert path not in {step.path for step in unlimited if isinstance(step, MakeFile)}


SYSTEM = "show a boot id of its own"
UNCOVERED = [f"show what is mounted at /{name} at /dev/.insula/{name}, uncovered" for name in ("proc", "sys")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (SPEC, [SYSTEM, *UNCOVERED]),
        (on_host_network(SPEC), [SYSTEM, UNCOVERED[0]]),
        (PRIVILEGED, [SYSTEM]),
        (replace(SPEC, init=Process(argv=("/bin/sleep", "9"))), []),
    ],
    ids=["unprivileged", "host network", "privileged", "a program"],
)
def test_a_system_has_a_boot_of_its_own_and_shows_its_guests_what_they_may_mount(
    spec: ContainerSpec, expected: list[str]
) -> None:
    assert told(own_boot(spec)) == expected


def test_all_groups_of_a_guest_may_ping_in_its_own_network() -> None:
    ranges = (
        IdRange(inside=1000, outside=1000, count=1),
        IdRange(inside=0, outside=300000, count=1000),
        IdRange(inside=1001, outside=301001, count=64535),
    )
    pieces = replace(SPEC, idmap=IdMap(uids=ranges, gids=ranges))
    assert network_settings(SPEC) == [("net.ipv4.ping_group_range", "0 65535")]
    assert network_settings(pieces) == [("net.ipv4.ping_group_range", "0 999")]
    assert network_settings(PRIVILEGED) == [("net.ipv4.ping_group_range", "0 2147483647")]
    assert network_settings(on_host_network(SPEC)) == []


def test_in_a_user_namespace_nothing_is_covered() -> None:
    assert protections(SPEC) == []


@pytest.mark.parametrize(
    ("spec", "writable"), [(PRIVILEGED, ["proc/sys/net"]), (on_host_network(PRIVILEGED), [])], ids=["own", "host"]
)
def test_a_privileged_guest_changes_only_the_settings_of_a_network_of_its_own(
    spec: ContainerSpec, writable: list[str]
) -> None:
    protect, mask = protections(spec)
    assert isinstance(protect, ProtectPaths)
    assert (protect.paths, protect.writable) == (list(READ_ONLY), writable)
    assert told([mask]) == [f"hide {', '.join(HIDDEN)}"]


def test_nothing_is_hidden_below_what_another_path_hides() -> None:
    paths = (*HIDDEN, *READ_ONLY)
    assert len(set(paths)) == len(paths)
    assert [path for path in paths if any(path.startswith(f"{other}/") for other in paths)] == []
    assert {path.partition("/")[0] for path in paths} == {"proc", "sys"}
