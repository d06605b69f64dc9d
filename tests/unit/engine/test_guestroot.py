"""Tests of insula.engine.guestroot."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.guestroot import looked_through
from insula.engine.interfacespec import NetworkKind
from insula.engine.spec import (
    ContainerSpec,
    Device,
    DeviceKind,
    DirectoryRoot,
    ImageRoot,
    InitKind,
    Namespace,
    OverlayRoot,
    Root,
    Seccomp,
    SharedNamespace,
    TmpfsRoot,
)
from insula.errors import OperationFailedError, ResourceBusyError
from insula.kernel.imagelocks import claim_image
from tests.plans import BUSYBOX
from tests.unit.engine.fragments.example import PRIVILEGED, SPEC

INIT = ("/sbin/init",)
FSTAB = (
    "UUID=1 / ext4 defaults 0 1\nnas:/ /mnt/nas nfs defaults 0 0\nnas:/ /mnt/ssh fuse.sshfs 0 0\ntmpfs /scratch tmpfs\n"
)
REMOUNTS = "systemd-remount-fs.service"


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """An image with systemd and the fstab of a machine, and a layer above it."""
    image, upper = tmp_path / "image", tmp_path / "upper"
    for directory in (image / "sbin", image / "lib/systemd", image / "etc", upper / "etc"):
        directory.mkdir(parents=True)
    (image / "lib/systemd/systemd").write_bytes(b"libsystemd-core")
    (image / "sbin/init").symlink_to("/lib/systemd/systemd")
    (image / "etc/fstab").write_text(FSTAB)
    return image, upper


def of(spec: ContainerSpec, root: Root) -> ContainerSpec:
    return looked_through(replace(spec, root=root))


def overlay(image: Path, upper: Path) -> OverlayRoot:
    return OverlayRoot(lower=(str(image),), upper=str(upper), work=str(upper.parent / "work"))


@pytest.mark.parametrize(
    ("spec", "units"),
    [
        (SPEC, (REMOUNTS, "mnt-nas.mount", "mnt-ssh.mount")),
        (
            replace(
                SPEC,
                devices=(Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse"),),
            ),
            (REMOUNTS, "mnt-nas.mount"),
        ),
        (PRIVILEGED, (REMOUNTS, "mnt-nas.mount", "mnt-ssh.mount", "scratch.mount")),
        (replace(PRIVILEGED, seccomp=Seccomp(new_mounts=True)), (REMOUNTS,)),
    ],
    ids=["unprivileged", "fuse", "privileged", "mounts"],
)
def test_a_former_machines_root_is_known_by_its_fstab(
    layers: tuple[Path, Path], spec: ContainerSpec, units: tuple[str, ...]
) -> None:
    image, upper = layers
    for root in (DirectoryRoot(path=str(image)), overlay(image, upper), TmpfsRoot(lower=(str(upper), str(image)))):
        found = of(spec, root)
        assert (found.init_kind, found.skipped_units) == (InitKind.SYSTEMD, units)


def test_the_uppermost_fstab_counts_whatever_it_is(layers: tuple[Path, Path]) -> None:
    image, upper = layers
    (upper / "etc/fstab").write_text("")
    assert of(SPEC, overlay(image, upper)).skipped_units == ()
    (upper / "etc/fstab").unlink()
    os.mkfifo(upper / "etc/fstab")
    assert of(SPEC, overlay(image, upper)).skipped_units == ()


def test_a_link_of_the_guests_leads_to_no_file_of_the_host(layers: tuple[Path, Path], tmp_path: Path) -> None:
    image, _ = layers
    (tmp_path / "hosts").write_text(FSTAB)
    (image / "etc/fstab").unlink()
    (image / "etc/fstab").symlink_to(tmp_path / "hosts")
    assert of(SPEC, DirectoryRoot(path=str(image))).skipped_units == ()


def test_a_root_that_tells_what_it_told_before_leaves_the_spec_as_it_is(layers: tuple[Path, Path]) -> None:
    found = of(SPEC, DirectoryRoot(path=str(layers[0])))
    assert looked_through(found) is found
    (layers[0] / "etc/fstab").unlink()
    assert looked_through(found).skipped_units == ()


def test_nothing_is_masked_but_for_systemd(layers: tuple[Path, Path]) -> None:
    image, _ = layers
    spec = replace(BUSYBOX, init=replace(BUSYBOX.init, argv=("/bin/sleep", "9")))
    found = of(spec, DirectoryRoot(path=str(image)))
    assert (found.init_kind, found.skipped_units) == (InitKind.PLAIN, ())


def test_a_systemd_that_knows_no_v2_is_found_until_it_is_upgraded(layers: tuple[Path, Path]) -> None:
    image, upper = layers
    (image / "lib/systemd/systemd").write_bytes(b"systemd 219 running in")
    found = of(SPEC, overlay(image, upper))
    assert (found.init_kind, found.knows_v2) == (InitKind.SYSTEMD, False)
    (image / "lib/systemd/systemd").unlink()
    (image / "lib/systemd/systemd").write_bytes(b"libsystemd-shared-231.so")
    assert looked_through(found).knows_v2


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's own files, below a directory."""
    for path in ("etc/netns/web",):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (tmp_path / "etc/netns/web/resolv.conf").write_text("nameserver 192.0.2.2\n")
    real = open
    monkeypatch.setattr("builtins.open", lambda path, *rest, **more: real(f"{tmp_path}{path}", *rest, **more))
    return tmp_path


def shared(path: str) -> ContainerSpec:
    return replace(SPEC, shared_namespaces=(SharedNamespace(kind=Namespace.NETWORK, path=path),))


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("spec", "resolver"),
    [
        (SPEC, None),
        (replace(SPEC, network=NetworkKind.HOST), "nameserver 192.0.2.1\n"),
        (shared("/run/netns/web"), "nameserver 192.0.2.2\n"),
        (shared("/run/netns/other"), None),
        (shared("/proc/17/ns/net"), None),
    ],
    ids=["own", "host's", "by name", "by name, without a file", "of a process"],
)
def test_names_are_resolved_as_where_the_network_is(spec: ContainerSpec, resolver: str | None) -> None:
    assert looked_through(spec).resolver == resolver


def test_a_layer_that_is_not_made_yet_tells_nothing(layers: tuple[Path, Path], tmp_path: Path) -> None:
    image, _ = layers
    assert of(SPEC, overlay(image, tmp_path / "to-be-made")).init_kind is InitKind.SYSTEMD
    assert of(SPEC, DirectoryRoot(path=str(tmp_path / "missing"))).init_kind is InitKind.PLAIN


def test_an_image_tells_nothing_where_it_is_not_to_be_mounted(tmp_path: Path) -> None:
    spec = replace(SPEC, root=ImageRoot(source=str(tmp_path / "missing")))
    assert looked_through(spec, mounting=False).init_kind is InitKind.PLAIN
    with pytest.raises(OperationFailedError, match=r"missing' cannot be the root: No such file"):
        looked_through(spec)


def test_an_image_that_another_uses_is_no_root_now(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1080) + b"\x53\xef" + bytes(100))
    with image.open("r+b") as other:
        claim_image(other.fileno(), str(image), read_only=False)
        with pytest.raises(ResourceBusyError, match="in use by another guest, a virtual machine or a loop device"):
            looked_through(replace(SPEC, root=ImageRoot(source=str(image))))


def test_devices_belong_to_the_first_of_their_groups_that_the_uppermost_layer_has(layers: tuple[Path, Path]) -> None:
    image, upper = layers
    node = Device(kind=DeviceKind.CHARACTER, major=1, minor=3, host="/dev/null", guest="x", gid=7)
    spec = replace(
        SPEC, devices=(replace(node, groups=("render", "video")), replace(node, guest="y", groups=("none",)))
    )
    (image / "etc/group").write_text("root:x:0:\nvideo:x:44:\nrender:x:109:\n")
    assert [each.gid for each in of(spec, overlay(*layers)).devices] == [109, 7]
    (upper / "etc/group").write_text("video:x:33:\nrender:x:4000000000:\n")
    assert [each.gid for each in of(spec, overlay(*layers)).devices] == [7, 7], "an id that the guest has not"
    (upper / "etc/group").unlink()
    (upper / "etc/group").symlink_to("/etc/group")
    assert [each.gid for each in of(spec, overlay(*layers)).devices] == [7, 7], "a link of the guest's leads nowhere"
