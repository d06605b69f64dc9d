"""Who may log in, in a directory that stands for the root of a guest that is off; guests are in tests/e2e."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.look import accesslooks
from insula.engine.look.accesslooks import read_keys, set_password, write_keys
from insula.kernel.fds import Fd

HASH = "$6$salt$hash"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a guest with two users."""
    for each in ("root/etc", "root/root", "root/srv", "outside"):
        (tmp_path / each).mkdir(parents=True)
    etc = tmp_path / "root/etc"
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\nold::5:6::/srv/old:/bin/sh\nweb:x:33:34::/srv/web:\n")
    (etc / "shadow").write_text("root:*:1:0:99999:7:::\nweb:!:2::::::\n")
    (etc / "shadow").chmod(0o640)
    return tmp_path / "root"


@pytest.fixture
def opened(root: Path) -> Iterator[dict[str, Fd]]:
    descriptor = Fd(os.open(root, os.O_PATH | os.O_DIRECTORY))
    yield {"root": descriptor}
    os.close(descriptor)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _set(opened: dict[str, Fd], user: str) -> None:
    set_password({"user": user, "hash": HASH, "ids": None}, opened)


def _write(opened: dict[str, Fd], user: str, *lines: str, ids: object = None) -> None:
    write_keys({"user": user, "lines": lines, "ids": ids}, opened)


def test_a_hash_takes_the_place_of_the_users_own_and_nothing_else_changes(root: Path, opened: dict[str, Fd]) -> None:
    before = (root / "etc/shadow").stat()
    _set(opened, "web")
    first, second = _lines(root / "etc/shadow")
    assert first == "root:*:1:0:99999:7:::"
    fields = second.split(":")
    assert fields[:2] == ["web", HASH] and int(fields[2]) > 20000 and fields[3:] == [""] * 6
    after = (root / "etc/shadow").stat()
    assert stat.S_IMODE(after.st_mode) == 0o640 and (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert sorted(os.listdir(root / "etc")) == ["passwd", "shadow"]


def test_a_user_whose_password_is_in_passwd_has_it_there(root: Path, opened: dict[str, Fd]) -> None:
    shadow = (root / "etc/shadow").read_bytes()
    _set(opened, "old")
    assert _lines(root / "etc/passwd")[1] == f"old:{HASH}:5:6::/srv/old:/bin/sh"
    assert (root / "etc/shadow").read_bytes() == shadow
    (root / "etc/shadow").unlink()
    _set(opened, "root")
    assert _lines(root / "etc/passwd")[0].startswith(f"root:{HASH}:0:0:")


def test_a_user_without_a_line_in_shadow_gets_one(root: Path, opened: dict[str, Fd]) -> None:
    (root / "etc/shadow").write_text("root:*:1::::::")
    _set(opened, "web")
    assert _lines(root / "etc/shadow")[1].startswith(f"web:{HASH}:")


def test_a_user_that_is_not_there_is_named(opened: dict[str, Fd]) -> None:
    with pytest.raises(OSError, match="the guest has no user 'nobody'"):
        _set(opened, "nobody")


@pytest.mark.parametrize("file", ["passwd", "shadow"])
@pytest.mark.parametrize("kind", ["link", "pipe", "large"])
def test_what_is_no_file_of_users_is_not_touched(root: Path, opened: dict[str, Fd], file: str, kind: str) -> None:
    outside = root.parent / "outside" / "precious"
    outside.write_text((root / "etc" / file).read_text())
    (root / "etc" / file).unlink()
    if kind == "link":
        (root / "etc" / file).symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(root / "etc" / file)
    else:
        (root / "etc" / file).write_text("root:x:0:0::/root:/bin/sh\n")
        os.truncate(root / "etc" / file, (16 << 20) + 1)
    before = outside.read_text()
    with pytest.raises(OSError, match=r"no regular file|more than|no user"):
        _set(opened, "root")
    assert outside.read_text() == before


def test_what_a_killed_one_left_half_written_is_in_nobodys_way(root: Path, opened: dict[str, Fd]) -> None:
    (root / "etc/shadow.insula-new").write_text("half")
    _set(opened, "root")
    assert sorted(os.listdir(root / "etc")) == ["passwd", "shadow"]


def test_keys_and_the_directories_for_them_are_the_users_own(root: Path, opened: dict[str, Fd]) -> None:
    assert read_keys({"user": "web"}, opened) == []
    _write(opened, "web", "ssh-rsa AAAA one", "ssh-rsa BBBB two")
    for path, mode in (("srv/web", 0o700), ("srv/web/.ssh", 0o700), ("srv/web/.ssh/authorized_keys", 0o600)):
        found = (root / path).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, 33, 34)
    assert read_keys({"user": "web"}, opened) == ["ssh-rsa AAAA one", "ssh-rsa BBBB two"]


def test_files_of_a_tree_that_bears_shifted_ids_get_those(root: Path, opened: dict[str, Fd]) -> None:
    ids = {"uids": [[0, 100000, 1000]], "gids": [[0, 200000, 34], [34, 500, 1]]}
    _write(opened, "web", "ssh-rsa AAAA", ids=ids)
    found = (root / "srv/web/.ssh/authorized_keys").stat()
    assert (found.st_uid, found.st_gid) == (100033, 500)
    with pytest.raises(OSError, match="the domain's id map has no 33"):
        _write(opened, "web", "ssh-rsa AAAA", ids={"uids": [[0, 1, 1]], "gids": [[0, 1, 1]]})


def test_keys_that_are_there_keep_their_owner_and_mode(root: Path, opened: dict[str, Fd]) -> None:
    (root / "root/.ssh").mkdir()
    keys = root / "root/.ssh/authorized_keys"
    keys.write_text("ssh-rsa AAAA\n")
    keys.chmod(0o644)
    os.chown(keys, 7, 8)
    _write(opened, "root", "ssh-rsa BBBB")
    found = keys.stat()
    assert (keys.read_text(), stat.S_IMODE(found.st_mode), found.st_uid) == ("ssh-rsa BBBB\n", 0o644, 7)


@pytest.mark.parametrize("link", ["root/.ssh", "root/.ssh/authorized_keys"])
@pytest.mark.parametrize("absolute", [True, False])
def test_no_link_of_a_guest_leads_out_or_is_written_through(
    root: Path, opened: dict[str, Fd], link: str, *, absolute: bool
) -> None:
    outside = root.parent / "outside"
    (outside / "authorized_keys").write_text("precious\n")
    target = outside if link.endswith(".ssh") else outside / "authorized_keys"
    (root / "root/.ssh").mkdir()
    if link.endswith(".ssh"):
        (root / link).rmdir()
    (root / link).symlink_to(target if absolute else os.path.relpath(target, (root / link).parent))
    with pytest.raises(OSError):  # noqa: PT011 - that of the kernel, or ours
        _write(opened, "root", "ssh-rsa AAAA")
    assert (outside / "authorized_keys").read_text() == "precious\n"
    assert os.listdir(outside) == ["authorized_keys"]


def test_in_a_guest_that_runs_the_lock_of_its_own_programs_is_waited_for(
    root: Path, opened: dict[str, Fd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accesslooks, "visit", lambda arguments, fds: opened["root"])
    monkeypatch.setattr(accesslooks, "_LOCK_PATIENCE", 0.2)
    change = {"user": "web", "hash": HASH, "ids": None}
    locking = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = (sys.executable, "-c", locking, str(root / "etc/.pwd.lock"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout is not None
        locker.stdout.readline()
        with pytest.raises(OSError, match="is changing its accounts"):
            set_password(change, {})
        locker.communicate(b"\n")
    set_password(change, {})
    assert _lines(root / "etc/shadow")[1].startswith(f"web:{HASH}:")
