"""Tests of insula.engine.fragments.guestmounts."""

from dataclasses import replace

import pytest

from insula.engine.fragments.guestmounts import ROOT, fetched_alive, root_is_read_only, root_tree, spec_mounts
from insula.engine.spec import (
    Access,
    BindMount,
    Bytes,
    ContainerSpec,
    DirectoryRoot,
    GuestBindMount,
    ImageMount,
    Limits,
    OverlayRoot,
    Root,
    TmpfsMount,
    TmpfsRoot,
)
from insula.engine.steps.guest.roottree import AttachMount, MountMemory, ShowElsewhere
from insula.engine.steps.host.imagemounts import MountImage
from insula.engine.steps.host.layers import (
    CopyTree,
    LockTree,
    MakeMemory,
    OpenLayers,
    OpenLayersInMemory,
    StackLayers,
)
from tests.unit.engine.fragments.example import FACTS, PRIVILEGED, SPEC, told

OVERLAY = OverlayRoot(lower=("/a", "/b"), upper="/c/upper", work="/c/work")
OWNER = (300000, 400000)


@pytest.mark.parametrize(
    ("spec", "idmapped"),
    [(SPEC, True), (PRIVILEGED, False), (replace(SPEC, root=DirectoryRoot(path="/srv/web", idmapped=False)), False)],
    ids=["mapped", "privileged", "shifted already"],
)
def test_a_directory_is_taken_whole_as_the_root(spec: ContainerSpec, idmapped: bool) -> None:
    (step,) = root_tree(spec, FACTS)
    assert isinstance(step, CopyTree)
    assert told([step]) == [f"take /srv/web as {ROOT}"]
    assert (step.root, step.recursive, step.idmapped, step.read_only) == (True, True, idmapped, False)


@pytest.mark.parametrize(("spec", "owner"), [(SPEC, OWNER), (PRIVILEGED, None)], ids=["mapped", "privileged"])
def test_layers_are_opened_and_then_stacked_for_the_guests_root(
    spec: ContainerSpec, owner: tuple[int, int] | None
) -> None:
    opened, stacked = root_tree(replace(spec, root=OVERLAY), FACTS)
    assert told([opened, stacked]) == [
        "open the layers /a, /b, and /c/upper to write to",
        f"stack the layers as {ROOT}",
    ]
    assert isinstance(opened, OpenLayers)
    assert (opened.lower, opened.upper, opened.work) == (("/a", "/b"), "/c/upper", "/c/work")
    assert isinstance(stacked, StackLayers)
    assert (stacked.acting_as, stacked.read_only) == (owner, False)


@pytest.mark.parametrize(("spec", "owner"), [(SPEC, OWNER), (PRIVILEGED, None)], ids=["mapped", "privileged"])
def test_a_root_in_memory_belongs_to_the_guests_root(spec: ContainerSpec, owner: tuple[int, int] | None) -> None:
    opened, stacked = root_tree(replace(spec, root=TmpfsRoot(lower=("/a",), size=Bytes(1 << 20))), FACTS)
    assert isinstance(opened, OpenLayersInMemory)
    assert (opened.lower, opened.size, opened.owner) == (("/a",), 1 << 20, owner)
    assert isinstance(stacked, StackLayers)
    assert stacked.acting_as == owner


def test_memory_of_no_given_size_is_half_of_the_limit() -> None:
    limited = replace(SPEC, root=TmpfsRoot(lower=("/a",)), limits=Limits(memory=Bytes(1 << 28)))
    opened, _ = root_tree(limited, FACTS)
    assert isinstance(opened, OpenLayersInMemory)
    assert (opened.size, opened.inodes) == (1 << 27, 1 << 14)
    mount = TmpfsMount(target="/data")
    _, (inner,), _ = spec_mounts(replace(limited, mounts=(mount,)), FACTS)
    assert isinstance(inner, MountMemory)
    assert inner.size == 1 << 27
    attached, lock = fetched_alive(limited, FACTS, mount, "mount")
    assert isinstance(lock, LockTree)
    assert isinstance(attached, MakeMemory)
    assert attached.size == 1 << 27
    unlimited, _ = fetched_alive(SPEC, FACTS, mount, "mount")
    assert isinstance(unlimited, MakeMemory)
    assert unlimited.size is None


@pytest.mark.parametrize(
    ("root", "read_only"),
    [
        (DirectoryRoot(path="/srv/web"), False),
        (DirectoryRoot(path="/srv/web", access=Access.READ_ONLY), True),
        (OVERLAY, False),
        (replace(OVERLAY, access=Access.READ_ONLY), True),
        (TmpfsRoot(lower=("/a",)), False),
    ],
)
def test_a_read_only_root_is_said_so_where_it_is_made(root: Root, read_only: bool) -> None:
    spec = replace(SPEC, root=root)
    assert root_is_read_only(spec) == read_only
    last = root_tree(spec, FACTS)[-1]
    assert isinstance(last, CopyTree | StackLayers)
    assert last.read_only == read_only
    assert last.name == ROOT


MOUNTS = (
    BindMount(source="/srv/data", target="/data", access=Access.READ_ONLY),
    TmpfsMount(target="/tmp", size=Bytes(4096), mode=0o1777, access=Access.READ_ONLY),
    ImageMount(source="/srv/disk.img", target="/disk", fstype="ext4"),
    GuestBindMount(source="/srv", target="/mnt", access=Access.READ_ONLY),
    BindMount(source="/srv/raw", target="/raw", idmapped=False, recursive=False),
)


def test_mounts_are_shown_in_their_order_whatever_their_kinds() -> None:
    host, inner, fetched = spec_mounts(replace(SPEC, mounts=MOUNTS), FACTS)
    assert told(host) == [
        "take /srv/data as mount0",
        "mount /srv/disk.img as mount2",
        "take /srv/raw as mount4",
    ]
    assert told(inner) == [
        "show mount0 at /data",
        "mount memory at /tmp",
        "show mount2 at /disk",
        "show the guest's /srv at /mnt",
        "show mount4 at /raw",
    ]
    assert fetched == ["mount0", "mount2", "mount4"]
    assert [step.source for step in inner if isinstance(step, AttachMount)] == fetched


def test_each_mount_keeps_what_was_asked_for() -> None:
    host, inner, _ = spec_mounts(replace(SPEC, mounts=MOUNTS), FACTS)
    data, disk, raw = host
    assert isinstance(data, CopyTree)
    assert (data.read_only, data.idmapped, data.recursive, data.root) == (True, True, True, False)
    assert isinstance(disk, MountImage)
    assert (disk.fstype, disk.read_only, disk.idmapped) == ("ext4", False, True)
    assert isinstance(raw, CopyTree)
    assert (raw.read_only, raw.idmapped, raw.recursive) == (False, False, False)
    memory, elsewhere = inner[1], inner[3]
    assert isinstance(memory, MountMemory)
    assert (memory.size, memory.mode, memory.read_only) == (4096, 0o1777, True)
    assert isinstance(elsewhere, ShowElsewhere)
    assert elsewhere.read_only


def test_a_privileged_container_shifts_no_owners() -> None:
    host, _, _ = spec_mounts(replace(PRIVILEGED, mounts=MOUNTS), FACTS)
    assert [step.idmapped for step in host if isinstance(step, CopyTree | MountImage)] == [False] * 3


@pytest.mark.parametrize("root", [DirectoryRoot(path="/a"), replace(OVERLAY, access=Access.READ_ONLY)])
@pytest.mark.parametrize("access", Access)
def test_what_a_privileged_guest_may_only_read_is_locked_as_it_is_fetched(
    root: DirectoryRoot | OverlayRoot, access: Access
) -> None:
    mounts = (BindMount(source="/a", target="/a", access=access), ImageMount(source="/b", target="/b", access=access))
    spec = replace(PRIVILEGED, root=replace(root, access=access), mounts=mounts)
    host = [*root_tree(spec, FACTS), *spec_mounts(spec, FACTS)[0], *fetched_alive(spec, FACTS, mounts[0], "alive")]
    locked = [each.name for each in host if isinstance(each, LockTree)]
    assert locked == ([ROOT, "mount0", "mount1", "alive"] if access is Access.READ_ONLY else [])
    unmapped = replace(FACTS, user_namespaces=False)
    assert not any(isinstance(each, LockTree) for each in root_tree(spec, unmapped))


def test_a_container_without_mounts_has_no_steps_for_them() -> None:
    assert spec_mounts(SPEC, FACTS) == ([], [], [])
