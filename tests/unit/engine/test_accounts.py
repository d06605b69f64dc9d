"""Tests of insula.engine.accounts: what a guest's files may hold is for the guest to choose."""

import errno
import os
import socket
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from insula.engine import accounts
from insula.engine.accounts import Account, find_account, find_group, lines_below
from insula.kernel.fds import contents
from tests.examples import examples

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
www:x:33:33:www:/var/www:/usr/sbin/nologin
homeless:x:34:33::
bare:x:35:33:::
1000:x:77:78:a name of digits:/home/digits:/bin/sh
alice:x:1000:1001:Alice:/home/alice:/bin/sh
twice:x:1:1::/first:
twice:x:2:2::/second:
unchanged:x:4294967295:0::/:
unchanged-group:x:3:4294967295::/:
highest:x:4294967294:4294967294::/:
"""
GROUP = """\
root:x:0:
www:x:33:
ops:x:50:alice,bob
wheel:x:10:bob,alice
again:x:50:alice
almost:x:60:alicex,xalice
broken:x:not-a-number:alice
short:x:70
1001:x:88:
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path / "etc"


def found(etc: Path, user: str, group: str | None = None) -> Account:
    """Return the account that is found in a guest whose root is above etc."""

    root = os.open(etc.parent, os.O_PATH)
    try:
        return find_account(lines_below(root), user, group)
    finally:
        os.close(root)


@pytest.mark.parametrize(
    ("user", "group", "account"),
    [
        ("root", None, Account(0, 0, [0], "/root")),
        ("www", None, Account(33, 33, [33], "/var/www")),
        ("alice", None, Account(1000, 1001, [10, 50, 1001], "/home/alice")),
        ("alice", "www", Account(1000, 33, [10, 33, 50], "/home/alice")),
        ("alice", "4000", Account(1000, 4000, [10, 50, 4000], "/home/alice")),
        # A number is never a name, though useradd --badname makes such: CVE-2016-3697.
        ("1000", None, Account(1000, 1001, [10, 50, 1001], "/home/alice")),
        ("www", "1001", Account(33, 1001, [1001], "/var/www")),
        # Of two of a name the first counts, as in the C library.
        ("twice", None, Account(1, 1, [1], "/first")),
        ("35", None, Account(35, 33, [33], "/")),
        ("highest", None, Account(4294967294, 4294967294, [4294967294], "/")),
        # A number needs no entry, and its owner no group but the one given.
        ("4242", None, Account(4242, 0, [0], "/")),
        ("4242", "ops", Account(4242, 50, [50], "/")),
    ],
)
def test_users_and_groups_are_named_or_numbered(etc: Path, user: str, group: str | None, account: Account) -> None:
    assert found(etc, user, group)[:4] == account[:4]


def test_what_programs_are_told_of_a_user_is_what_the_guest_says_if_it_can_be_told(etc: Path) -> None:
    with (etc / "passwd").open("ab") as passwd:
        passwd.write(b"fish:x:90:90::/home/fish:/usr/bin/fish\n")
        passwd.write(b"zero:x:91:91::/home/ze\0ro:/bin/\0sh\n")
        passwd.write(b"long:x:92:92::/" + b"x" * 5000 + b":/" + b"y" * 5000 + b"\n")
    assert found(etc, "90")[3:] == ("/home/fish", "fish", "/usr/bin/fish")
    assert found(etc, "zero")[3:] == ("/", "zero", "")
    assert found(etc, "long")[3:] == ("/", "long", "")
    assert found(etc, "4242")[3:] == ("/", "", "")


@pytest.mark.parametrize(
    ("user", "group", "file"),
    [
        ("nobody", None, "/etc/passwd"),
        ("homeless", None, "/etc/passwd"),
        ("", None, "/etc/passwd"),
        ("-1", None, "/etc/passwd"),
        ("unchanged-group", None, "/etc/passwd"),
        ("root:x", None, "/etc/passwd"),
        # The number that means "as it is": who became it would still be root.
        ("4294967295", None, "/etc/passwd"),
        ("unchanged", None, "/etc/passwd"),
        ("9" * 5000, None, "/etc/passwd"),
        ("٣", None, "/etc/passwd"),
        ("root", "4294967295", "/etc/group"),
        ("root", "nogroup", "/etc/group"),
        ("root", "broken", "/etc/group"),
        ("root", "short", "/etc/group"),
        ("root", "", "/etc/group"),
    ],
)
def test_who_is_unknown_is_named_with_the_file_that_lacks_him(
    etc: Path, user: str, group: str | None, file: str
) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        found(etc, user, group)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, file)
    assert repr(user if group is None else group) in str(caught.value)


def test_a_guest_without_the_files_has_numbers_only(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert found(tmp_path / "etc", "7", "8") == Account(7, 8, [8], "/")
    with pytest.raises(FileNotFoundError, match="the guest has no user 'root'"):
        found(tmp_path / "etc", "root")


def test_a_fifo_in_their_place_does_not_hold_us_up(etc: Path) -> None:
    (etc / "passwd").unlink()
    os.mkfifo(etc / "passwd")
    assert found(etc, "0", "ops") == Account(0, 50, [50], "/")


@pytest.mark.parametrize("kind", ["directory", "loop"])
def test_what_cannot_be_read_in_their_place_is_an_error(etc: Path, kind: str) -> None:
    (etc / "passwd").unlink()
    if kind == "directory":
        (etc / "passwd").mkdir()
    else:
        (etc / "passwd").symlink_to("passwd")
    with pytest.raises(OSError, match="Is a directory" if kind == "directory" else "symbolic links") as caught:
        found(etc, "root")
    assert (caught.value.strerror, caught.value.filename) == (os.strerror(caught.value.errno or 0), "/etc/passwd")


def test_a_file_of_millions_of_lines_is_never_in_memory_as_a_whole(etc: Path) -> None:
    """It took the daemon 490 MB at a start."""
    (etc / "passwd").write_bytes(b"alice:x:1:1:::\n" + b"x:\n" * (16 << 18))
    root = os.open(etc.parent, os.O_PATH)
    lines = iter(lines_below(root)("/etc/passwd"))
    tracemalloc.start()
    try:
        assert [next(lines), next(lines)] == ["alice:x:1:1:::", "x:"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
        os.close(root)


@pytest.mark.parametrize("separator", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028"])
def test_what_else_looks_like_the_end_of_a_line_makes_no_user(etc: Path, separator: str) -> None:
    (etc / "passwd").write_text(f"eve:x:1000:1000:Eve{separator}mallory:x:0:0::/:/bin/sh\n", newline="\n")
    with pytest.raises(FileNotFoundError, match="the guest has no user 'mallory'"):
        found(etc, "mallory")
    assert found(etc, "eve").uid == 1000


def test_bytes_that_are_no_text_hurt_nobody_else(etc: Path) -> None:
    (etc / "passwd").write_bytes(b"\xff\xfe\x00:x:1:1:::\n" + PASSWD.encode())
    assert found(etc, "root").home == "/root"


def test_an_endless_file_is_read_up_to_a_limit(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_FILE_MAX", len(PASSWD))
    (etc / "passwd").write_text(PASSWD + "late:x:9:9:::\n")
    assert found(etc, "twice").uid == 1
    with pytest.raises(FileNotFoundError):
        found(etc, "late")


def test_only_as_many_groups_are_taken_as_a_process_may_have(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "GROUPS_MAX", 3)
    (etc / "group").write_text("".join(f"g{number}:x:{number}:alice\n" for number in range(10)))
    assert found(etc, "alice").groups == [0, 1, 1001]


FIELDS = ["", "x", "0", "7", "٣", "-1", "a,b", "1" * 30, "4294967295"]
LINES = some.lists(
    some.one_of(some.text(max_size=20), some.lists(some.sampled_from(FIELDS), max_size=9).map(":".join)),
    max_size=6,
).map("\n".join)


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(passwd=LINES, group=LINES, user=some.sampled_from(["x", "7", "a", ""]))
def test_whatever_they_hold_the_answer_is_an_account_or_a_refusal(
    tmp_path: Path, passwd: str, group: str, user: str
) -> None:
    files = {"/etc/passwd": tmp_path / "passwd", "/etc/group": tmp_path / "group"}
    files["/etc/passwd"].write_text(passwd, errors="replace")
    files["/etc/group"].write_text(group, errors="replace")
    try:
        account = find_account(lambda path: files[path].read_text(errors="replace").splitlines(), user, None)
    except FileNotFoundError:
        return
    assert all(0 <= each < 2**32 - 1 for each in (account.uid, account.gid, *account.groups))
    assert account.gid in account.groups
    assert account.groups == sorted(set(account.groups))
    assert account.home


def test_an_account_becomes_a_file_that_a_program_reads() -> None:
    fd = accounts.account_file(Account(1000, 100, [100, 4], "/home/alice"), 64)
    content = contents(fd)
    os.close(fd)
    assert len(content) == accounts.account_size(64)
    assert struct.unpack_from("<III", content) == (1000, 100, 2)
    assert content[accounts.HOME_OFFSET :].startswith(b"HOME=/home/alice\0")
    assert struct.unpack_from("<II", content, accounts.GROUPS_OFFSET) == (100, 4)


@pytest.mark.parametrize("home", ["/" + "x" * 5000, "/a\0b"])
def test_a_home_that_can_be_none_is_the_root(home: str) -> None:
    fd = accounts.account_file(Account(1, 1, [1], home), 1)
    assert contents(fd)[accounts.HOME_OFFSET :].startswith(b"HOME=/\0")
    os.close(fd)


def test_more_groups_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(OSError, match="more groups"):
        accounts.account_file(Account(1, 1, [1, 2], "/"), 1)


def test_a_device_in_their_place_is_not_opened(etc: Path) -> None:
    (etc / "passwd").unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(etc / "passwd"))
    listener.close()
    assert found(etc, "0", "ops") == Account(0, 50, [50], "/")


def test_links_of_the_guests_stay_inside(etc: Path) -> None:
    (etc / "passwd").rename(etc.parent / "users")
    (etc / "passwd").symlink_to("/users")
    assert found(etc, "www").uid == 33


def test_the_first_of_the_names_that_is_a_group_has_a_number() -> None:
    lines = GROUP.split("\n")
    assert find_group(lines, ("ops", "wheel")) == 50
    assert find_group(reversed(lines), ("none", "wheel", "ops")) == 10
    assert find_group(lines, ("broken", "short", "none", "")) is None
    assert find_group(["a:x:1:", "a:x:2:"], ("a",)) == 1
    assert find_group(["a:x:1"], ("a",)) is None
