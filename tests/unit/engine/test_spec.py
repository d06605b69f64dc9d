"""What a container is unless somebody says otherwise, and what its id map tells."""

import dataclasses

import pytest

from insula.engine.interfacespec import NetworkKind
from insula.engine.spec import (
    ALL_NAMESPACES,
    Access,
    BindMount,
    CgroupPlacement,
    ContainerSpec,
    DirectoryRoot,
    IdMap,
    IdRange,
    InitKind,
    Limits,
    Namespace,
    Seccomp,
    SeccompProfile,
    TmpfsMount,
)
from insula.errors import InvalidArgumentError

SPLIT = IdMap(
    uids=(IdRange(inside=1000, outside=5000, count=10), IdRange(inside=0, outside=300000, count=1000)),
    gids=(IdRange(inside=0, outside=400000, count=1000), IdRange(inside=1000, outside=390000, count=10)),
)


def test_a_container_that_says_nothing_is_confined() -> None:
    spec = ContainerSpec(name="web", uuid="u", root=DirectoryRoot(path="/srv/web"))
    assert not spec.privileged
    assert spec.network is NetworkKind.PRIVATE
    assert spec.seccomp == Seccomp(profile=SeccompProfile.DEFAULT)
    assert spec.namespaces == frozenset(Namespace) - {Namespace.TIME}
    assert spec.capabilities is None
    assert (spec.mounts, spec.devices, spec.shared_namespaces, spec.interfaces) == ((), (), (), ())
    assert (spec.limits, spec.cgroup) == (Limits(), CgroupPlacement(partition="machine.slice"))
    assert (spec.consoles, spec.inherited_fds, spec.init_kind) == (1, 0, InitKind.PLAIN)


def test_what_is_shown_from_the_host_is_shifted_unless_told_otherwise() -> None:
    mount = BindMount(source="/a", target="/b")
    assert (mount.access, mount.idmapped, mount.recursive) == (Access.READ_WRITE, True, True)
    assert DirectoryRoot(path="/a").idmapped
    assert TmpfsMount(target="/a").mode == 0o755


def test_a_spec_cannot_be_changed() -> None:
    spec = ContainerSpec(name="web", uuid="u", root=DirectoryRoot(path="/srv/web"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]
    assert hash(spec) == hash(dataclasses.replace(spec))


def test_the_guests_root_is_found_in_whichever_range_it_is() -> None:
    assert (SPLIT.root_uid, SPLIT.root_gid) == (300000, 400000)


@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_a_guest_without_a_root_is_refused(kind: str) -> None:
    rootless = dataclasses.replace(SPLIT, **{f"{kind}s": (IdRange(inside=1, outside=5000, count=10),)})
    with pytest.raises(InvalidArgumentError, match=f"the {kind} map has no entry for 0"):
        _ = getattr(rootless, f"root_{kind}")


def test_namespaces_have_the_kernels_names() -> None:
    assert {each.value for each in ALL_NAMESPACES} == {"mnt", "uts", "ipc", "pid", "net", "user", "cgroup"}
