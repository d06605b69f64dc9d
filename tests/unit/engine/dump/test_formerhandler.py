"""Cores of the host's own programs go where they went before."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.dump.crash import Crash
from insula.engine.dump.formerhandler import FormerHandler
from insula.errors import OperationFailedError
from insula.kernel.fds import Fd
from insula.kernel.process import set_dumpable
from tests.waiting import patience

PROGRAM = """
import os, sys
from pathlib import Path
from insula.engine.dump.crash import Crash
from insula.engine.dump.formerhandler import FormerHandler
crash = Crash.of([str(os.getpid()), "0", "0", "11", "17", "-1", "host", "1", str(os.getpid())])
pidfd = os.pidfd_open(os.getpid())
FormerHandler(own=Path(sys.argv[1]), packaged=()).take(crash, 0, pidfd)
"""


@pytest.fixture(autouse=True)
def _dumpable() -> Iterator[None]:
    """Let what the tests fork be looked at again: who changes its ids, as some here do, is not dumpable any more."""
    yield
    set_dumpable(True)


@pytest.fixture
def former(tmp_path: Path) -> FormerHandler:
    return FormerHandler(own=tmp_path / "own", packaged=(tmp_path / "none.conf", tmp_path / "50.conf"))


@pytest.fixture
def crash() -> Crash:
    me = str(os.getpid())
    return Crash.of([me, str(os.getuid()), str(os.getgid()), "11", "17", "4096", "host", "1", me])


def take(former: FormerHandler, crash: Crash, content: bytes) -> str:
    stream = Fd(os.memfd_create("core"))
    os.pwrite(stream, content, 0)
    try:
        return former.take(crash, stream, -1)
    finally:
        os.close(stream)


def test_the_administrators_pattern_counts_more_than_the_packages(former: FormerHandler, tmp_path: Path) -> None:
    assert former.pattern() is None
    (tmp_path / "50.conf").write_text("# a comment\nkernel.core_pipe_limit=16\n-kernel/core_pattern = |/bin/x %P %F\n")
    assert former.pattern() == "|/bin/x %P %F"
    (tmp_path / "own").write_text("|/bin/own %p\n")
    assert former.pattern() == "|/bin/own %p"


def test_a_program_is_given_the_core_and_what_it_wants_to_know(tmp_path: Path) -> None:
    handler = tmp_path / "handler"
    handler.write_text(f'#!/bin/sh\necho "$#:$@:$PATH" > {tmp_path}/said\ncat > {tmp_path}/core\n')
    handler.chmod(0o755)
    (tmp_path / "own").write_text(f"|{handler} %P %s%%s %h --name=%e %q\n")
    code = [sys.executable, "-c", PROGRAM, str(tmp_path / "own")]
    process = subprocess.Popen(code, stdin=subprocess.PIPE)
    process.communicate(b"the core", timeout=patience(60))
    assert process.returncode == 0
    assert (tmp_path / "core").read_bytes() == b"the core"
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"5:{process.pid} 11%s host --name=python")
    assert said.endswith(":/usr/sbin:/usr/bin:/sbin:/bin\n")


def test_a_path_becomes_a_new_file_of_its_user(former: FormerHandler, crash: Crash, tmp_path: Path) -> None:
    (tmp_path / "own").write_text(f"{tmp_path}/core.%p")
    path = Path(take(former, crash, b"x" * 5000))
    assert path == tmp_path / f"core.{os.getpid()}"
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (4096, 0o600), "cut at its RLIMIT_CORE"
    with pytest.raises(FileExistsError):
        take(former, crash, b"y")


@pytest.mark.requires("root")
def test_a_user_gets_a_file_only_where_it_could_make_one_and_of_its_own(
    former: FormerHandler, crash: Crash, tmp_path: Path
) -> None:
    crash = replace(crash, uid=64123, gid=64124)
    for directory in (tmp_path.parent.parent, tmp_path.parent, tmp_path):  # pytest's own
        directory.chmod(0o755)
    (tmp_path / "private").mkdir(mode=0o755)
    (tmp_path / "public").mkdir()
    (tmp_path / "public").chmod(0o777)
    (tmp_path / "own").write_text(f"{tmp_path}/private/core")
    with pytest.raises(PermissionError):
        take(former, crash, b"x")
    assert os.geteuid() == 0
    (tmp_path / "public/link").symlink_to(tmp_path / "private")
    (tmp_path / "own").write_text(f"{tmp_path}/public/link/core")
    with pytest.raises(PermissionError):
        take(former, crash, b"x")
    (tmp_path / "own").write_text(f"{tmp_path}/public/core")
    made = Path(take(former, crash, b"x")).stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (64123, 64124, 0o600)
    (tmp_path / "own").write_text(f"{tmp_path}/private/core")
    secret = Path(take(former, replace(crash, private=True), b"x")).stat()
    assert (secret.st_uid, stat.S_IMODE(secret.st_mode)) == (0, 0o600)


@pytest.mark.parametrize("limit", [0, 1, 4095])
def test_a_limit_too_small_for_a_core_leaves_no_file(
    former: FormerHandler, crash: Crash, tmp_path: Path, limit: int
) -> None:
    (tmp_path / "own").write_text(f"{tmp_path}/core")
    with pytest.raises(OperationFailedError, match=f"RLIMIT_CORE is {limit}"):
        take(former, replace(crash, limit=limit), b"x")
    assert not (tmp_path / "core").exists()


@pytest.mark.requires("root")
def test_whoever_has_another_root_writes_nothing_below_the_hosts(
    former: FormerHandler, crash: Crash, tmp_path: Path
) -> None:
    (tmp_path / "own").write_text(f"{tmp_path}/core")
    code = f"import os; os.chroot({str(tmp_path)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as jailed:
        assert jailed.stdout is not None and jailed.stdout.readline()
        with pytest.raises(OperationFailedError, match="another root"):
            take(former, replace(crash, pid=jailed.pid, tid=jailed.pid), b"x")
        jailed.communicate(b"\n", timeout=patience(60))
    assert not (tmp_path / "core").exists()


@pytest.mark.parametrize(
    ("pattern", "why"), [("core", "no absolute path"), ("|handler %p", "names no program"), ("|", "names no")]
)
def test_what_cannot_be_done_from_here_is_told(
    former: FormerHandler, crash: Crash, tmp_path: Path, pattern: str, why: str
) -> None:
    (tmp_path / "own").write_text(pattern)
    with pytest.raises(OperationFailedError, match=why):
        take(former, crash, b"x")


def test_a_host_without_any_is_told_what_to_do(former: FormerHandler, crash: Crash) -> None:
    with pytest.raises(OperationFailedError, match=r"no handler is known: write the former kernel.core_pattern into"):
        take(former, crash, b"x")
