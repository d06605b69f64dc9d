"""`insula cp` between the host and guests, some of which send what they should not."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, insula
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def test_trees_are_copied_in_and_out_again(insulad: Insulad, guest: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/big").write_bytes(os.urandom(300_000))
    (tree / "sub/link").symlink_to("big")
    (tree / ("n" * 150)).write_text("long")
    insula(insulad, "cp", str(tree), f"{guest}:/root")
    insula(insulad, "cp", str(tree), f"{guest}:/root/renamed")
    assert inside(insulad, guest, "stat", "-c", "%u:%g %n", "/root/renamed/sub/big") == "0:0 /root/renamed/sub/big\n"
    back = tmp_path / "back"
    insula(insulad, "cp", f"{guest}:/root/tree", str(back))
    insula(insulad, "cp", f"{guest}:/root/renamed/", str(tmp_path))
    for copied in (back, tmp_path / "renamed"):
        assert (copied / "sub/big").read_bytes() == (tree / "sub/big").read_bytes()
        assert os.readlink(copied / "sub/link") == "big" and (copied / ("n" * 150)).read_text() == "long"
    insula(insulad, "cp", f"{guest}:/etc/hostname", str(tmp_path / "name"))
    assert (tmp_path / "name").read_text() == inside(insulad, guest, "cat", "/etc/hostname")


def test_what_cannot_be_copied_is_told_by_the_guests_own_words(insulad: Insulad, guest: str, tmp_path: Path) -> None:
    missing = insula(insulad, "cp", f"{guest}:/missing", str(tmp_path), check=False)
    assert missing.returncode == 1 and "No such file" in missing.stderr and os.listdir(tmp_path) == []
    (tmp_path / "f").write_text("x")
    nowhere = insula(insulad, "cp", str(tmp_path / "f"), f"{guest}:/missing/f", check=False)
    assert nowhere.returncode == 1 and "/missing" in nowhere.stderr
    much = insula(insulad, "cp", "--most", "1k", f"{guest}:/bin", str(tmp_path), check=False)
    assert much.returncode == 1 and "the guest sends more than --most, 1024 bytes" in much.stderr
    inside(insulad, guest, "rm", "/bin/tar")
    without = insula(insulad, "cp", f"{guest}:/etc", str(tmp_path), check=False)
    assert without.returncode == 1 and "has no tar, which copying needs" in without.stderr


def test_a_guest_writes_nowhere_but_where_it_was_asked_for(
    insulad: Insulad, busybox_root: Path, tmp_path: Path
) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    archives = {
        "up": [("up/../../outside/x", tarfile.REGTYPE, "")],
        "absolute": [(f"{outside}/x", tarfile.REGTYPE, "")],
        "link": [("link", tarfile.SYMTYPE, str(outside)), ("link/x", tarfile.REGTYPE, "")],
        "hard": [("hard", tarfile.LNKTYPE, "hard/../../outside/x")],
    }
    for name, members in archives.items():
        sent = io.BytesIO()
        with tarfile.open(fileobj=sent, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path, kind, link in members:
                member = tarfile.TarInfo(path)
                member.type, member.linkname = kind, link
                archive.addfile(member)
        (busybox_root / f"{name}.tar").write_bytes(sent.getvalue())
    (busybox_root / "bin/tar").unlink()
    (busybox_root / "bin/tar").write_text('#!/bin/sh\nexec cat "/$7.tar"\n')
    (busybox_root / "bin/tar").chmod(0o755)
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    for name in archives:
        refused = insula(insulad, "cp", f"bb:/{name}", str(target / "data"), check=False)
        assert refused.returncode == 1, refused.stderr
        assert os.listdir(outside) == []
