"""The writable layers of domains."""

import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from insula.storage.clones import Clones


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    return Clones(tmp_path / "clones")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs").chmod(0o751)
    return tmp_path / "rootfs"


def test_a_clone_has_an_empty_layer_like_the_images_top(clones: Clones, rootfs: Path) -> None:
    clone = clones.create(uuid4(), "debian-12", rootfs)
    assert os.listdir(clone.upper) == os.listdir(clone.work) == []
    assert clone.upper.stat().st_mode & 0o7777 == 0o751
    assert clone.upper.stat().st_uid == rootfs.stat().st_uid
    assert clones.directory.stat().st_mode & 0o077 == 0


def test_it_is_found_again_with_its_image(clones: Clones, rootfs: Path) -> None:
    web, db = uuid4(), uuid4()
    assert clones.find(web) is None
    made = clones.create(web, "debian-12", rootfs)
    clones.create(db, "busybox", rootfs)
    assert clones.find(web) == made
    assert {(each.uuid, each.image) for each in clones.all()} == {(web, "debian-12"), (db, "busybox")}
    assert clones.users() == {"debian-12": [web], "busybox": [db]}


def test_a_domain_has_one_clone_only(clones: Clones, rootfs: Path) -> None:
    web = uuid4()
    first = clones.create(web, "debian-12", rootfs)
    (first.upper / "file").write_text("x")
    with pytest.raises(FileExistsError):
        clones.create(web, "debian-13", rootfs)
    assert clones.find(web) == first
    assert (first.upper / "file").exists()
    assert os.listdir(clones.directory) == [str(web)]


def test_without_its_image_there_is_no_clone_and_no_trace(clones: Clones, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        clones.create(uuid4(), "gone", tmp_path / "none")
    assert os.listdir(clones.directory) == []


def test_discarding_removes_all_the_guest_wrote(clones: Clones, rootfs: Path) -> None:
    web = uuid4()
    clone = clones.create(web, "debian-12", rootfs)
    (clone.upper / "a/b").mkdir(parents=True)
    (clone.upper / "a/link").symlink_to(rootfs)
    clones.discard(web)
    clones.discard(web)
    assert clones.find(web) is None
    assert os.listdir(clones.directory) == []
    assert rootfs.exists()


def test_what_was_interrupted_is_swept_and_clones_stay(clones: Clones, rootfs: Path) -> None:
    web = uuid4()
    clones.create(web, "debian-12", rootfs)
    for name in (f".new-{uuid4()}-00000000", f".removed-{uuid4()}-00000000"):
        (clones.directory / name / "upper/deep").mkdir(parents=True)
    assert len(clones.sweep()) == 2
    assert os.listdir(clones.directory) == [str(web)]


def test_what_is_no_clone_is_none(clones: Clones) -> None:
    clones.directory.mkdir()
    (clones.directory / "README").write_text("x")
    (clones.directory / str(UUID(int=1))).mkdir()
    (clones.directory / str(UUID(int=2))).write_text("x")
    assert list(clones.all()) == []


def test_no_clones_at_all(clones: Clones) -> None:
    assert list(clones.all()) == []
    assert clones.sweep() == []
    clones.discard(uuid4())
