import pytest

from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemDriverType, FilesystemType
from tests.unit.conversion.conversions import converted, keys_of

IDS = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n"


def _read(text: str, **others: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("lxc-tools", IDS + text, others={f"/{name}": each for name, each in others.items()})
    return found.domain, keys_of(found.findings)


@pytest.mark.parametrize("path", ["/srv/web", "dir:/srv/web", "btrfs:/srv/web", "zfs:/srv/web"])
def test_a_root_is_a_directory(path: str) -> None:
    domain, findings = _read(f"lxc.rootfs.path = {path}")
    assert domain.root is not None and str(domain.root.source.directory) == "/srv/web"
    assert findings == set()


def test_the_key_of_old_and_the_options_count_in_any_order() -> None:
    domain, findings = _read("lxc.rootfs.options = ro,idmap=container\nlxc.rootfs = /srv/web\n")
    assert domain.root is not None and domain.root.read_only
    assert findings == set()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("loop:/x.img", FilesystemType.FILE),
        ("nbd:/x.qcow2", FilesystemType.FILE),
        ("/dev/vg/web", FilesystemType.BLOCK),
    ],
)
def test_images_and_devices_are_what_they_are_and_named(path: str, kind: FilesystemType) -> None:
    domain, findings = _read(f"lxc.rootfs.path = {path}")
    assert domain.root is not None and domain.root.type is kind
    assert findings == ({"lxc.rootfs.path"} if path.startswith("nbd") else set())
    if path.startswith("nbd"):
        assert domain.root.driver is not None and domain.root.driver.type is FilesystemDriverType.NBD


def test_of_an_overlay_the_lower_layer_is_shown_and_never_written_to() -> None:
    domain, findings = _read("lxc.rootfs.path = overlayfs:/lower:/upper")
    assert domain.root is not None and domain.root.read_only and str(domain.root.source.directory) == "/lower"
    assert findings == {"lxc.rootfs.path"}


@pytest.mark.parametrize("path", ["/", "/srv/../..", "zfs:tank/web", "nbd:/x:1", "cloud:/x", "web"])
def test_what_is_no_root_is_named(path: str) -> None:
    domain, findings = _read(f"lxc.rootfs.path = {path}")
    assert domain.root is None and findings == {"lxc.rootfs.path"}


def test_a_document_without_a_root_never_means_the_hosts() -> None:
    domain, findings = _read("lxc.uts.name = web")
    assert domain.root is None and findings == {"lxc.rootfs.path"}


def test_what_is_mounted_anyway_says_nothing_and_the_hosts_own_stays_covered() -> None:
    assert _read("lxc.rootfs.path = /x\nlxc.mount.auto = proc:mixed sys:ro cgroup:mixed:force")[1] == set()
    for word in ("proc:rw", "cgroup-full:rw", "shmounts:/x", "nonsense"):
        assert _read(f"lxc.rootfs.path = /x\nlxc.mount.auto = {word}")[1] == {"lxc.mount.auto"}


def test_a_table_of_mounts_is_read_where_it_is_handed_over() -> None:
    text = "lxc.rootfs.path = /x\nlxc.mount.fstab = /tab\n"
    domain, findings = _read(text, tab="# c\n/srv srv none bind 0 0\nnonsense\n")
    assert [str(each.target) for each in domain.devices.filesystems] == ["/", "/srv"]
    assert findings == {"lxc.mount.entry"}
    assert _read(text)[1] == {"lxc.mount.fstab"}


def test_nothing_is_mounted_over_the_root() -> None:
    assert _read("lxc.rootfs.path = /x\nlxc.mount.entry = /srv / none bind 0 0")[1] == {"lxc.mount.entry"}
