"""From `<filesystem>` elements to mounts of the engine."""

from pathlib import Path

import pytest

from insula.engine.spec import Access, BindMount, GuestBindMount, IdMap, IdRange, ImageMount, Mount, TmpfsMount
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.storage.filesystemmounts import mounts_of

DOMAIN = """<domain type='lxc'><name>d</name><memory>65536</memory><os><type>exe</type></os>
<devices><filesystem><source dir='/nowhere'/><target dir='/'/></filesystem>{}</devices></domain>"""
WHOLE = (IdRange(inside=0, outside=2_000_224_256, count=65536),)
IDMAP = IdMap(uids=WHOLE, gids=WHOLE)


def mounts(xml: str, idmap: IdMap | None = IDMAP) -> tuple[Mount, ...]:
    return mounts_of(DomainDefinition.load(DOMAIN.format(xml)), idmap)


def test_the_root_is_no_mount() -> None:
    assert mounts("") == ()


def test_a_directory_of_the_host(tmp_path: Path) -> None:
    xml = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/srv'/><readonly/></filesystem>"
    assert mounts(xml) == (
        BindMount(source=str(tmp_path), target="/srv", access=Access.READ_ONLY, idmapped=True, recursive=True),
    )


def test_a_privileged_guest_has_no_ids_to_map(tmp_path: Path) -> None:
    xml = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/srv'/></filesystem>"
    assert mounts(xml, None) == (BindMount(source=str(tmp_path), target="/srv", idmapped=False),)


def test_a_tree_that_belongs_to_the_guests_ids_is_not_mapped_again(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid
    ids = (IdRange(inside=owner + 1, outside=owner, count=1),)
    xml = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/srv'/></filesystem>"
    assert mounts(xml, IdMap(uids=ids, gids=ids)) == (BindMount(source=str(tmp_path), target="/srv", idmapped=False),)


def test_memory_with_its_size() -> None:
    xml = "<filesystem type='ram'><source usage='64' units='MiB'/><target dir='/tmp'/></filesystem>"
    assert mounts(xml) == (TmpfsMount(target="/tmp", size=64 * 1024 * 1024),)  # type: ignore[arg-type]


def test_a_directory_of_the_guest_elsewhere_in_the_guest() -> None:
    xml = "<filesystem type='bind'><source dir='/var/data'/><target dir='/srv'/><readonly/></filesystem>"
    assert mounts(xml) == (GuestBindMount(source="/var/data", target="/srv", access=Access.READ_ONLY),)


def test_a_file_with_a_file_system(tmp_path: Path) -> None:
    (tmp_path / "disk.img").touch()
    xml = (
        f"<filesystem type='file'><driver type='loop' format='raw'/><source file='{tmp_path}/disk.img'/>"
        "<target dir='/srv'/></filesystem>"
    )
    assert mounts(xml) == (ImageMount(source=f"{tmp_path}/disk.img", target="/srv"),)


def test_the_order_is_the_definitions(tmp_path: Path) -> None:
    xml = "".join(
        f"<filesystem type='ram'><source usage='1'/><target dir='/{name}'/></filesystem>" for name in ("b", "a", "a/c")
    )
    assert [each.target for each in mounts(xml)] == ["/b", "/a", "/a/c"]


@pytest.mark.parametrize(
    ("xml", "complaint"),
    [
        ("<filesystem type='template'><source name='x'/><target dir='/srv'/></filesystem>", "only be the root"),
        ("<filesystem type='volume'><source pool='p' volume='v'/><target dir='/srv'/></filesystem>", "storage pools"),
        ("<filesystem type='mount'><source dir='/nonexistent'/><target dir='/srv'/></filesystem>", "No such file"),
        ("<filesystem type='block'><source dev='/dev/null'/><target dir='/srv'/></filesystem>", "no block device"),
        (
            "<filesystem type='file'><driver type='nbd'/><source file='/x'/><target dir='/srv'/></filesystem>",
            "raw images only",
        ),
    ],
)
def test_what_is_not_there_is_refused_with_the_target(xml: str, complaint: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=f"file system '/srv'.*{complaint}"):
        mounts(xml)
