"""One daemon a prefix: the lock, and the directories."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from insula.daemon.instance import make_directories, only_one
from insula.errors import ConfigurationError
from insula.layout import Layout


def test_directories_are_made_with_their_modes_and_may_be_there(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path / "prefix")
    make_directories(layout)
    make_directories(layout)
    assert layout.definitions.stat().st_mode & 0o777 == 0o700
    assert layout.running.stat().st_mode & 0o777 == 0o700
    assert layout.socket.parent.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_cannot_be_made_is_named_and_keeps_nobody_from_serving(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("in the way")
    missing = make_directories(Layout.prefix(tmp_path))
    assert [each for each in missing if "etc/insula/domains" in each]
    assert Layout.prefix(tmp_path).running.is_dir()


def test_without_a_place_for_the_sockets_there_is_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(ConfigurationError, match=f"cannot create the directory {tmp_path}/run"):
        make_directories(Layout.prefix(tmp_path))


def test_the_lock_holds_where_its_holders_number_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    layout = Layout.prefix(tmp_path)
    make_directories(layout)
    monkeypatch.setattr(os, "pwrite", full)
    with only_one(layout), pytest.raises(ConfigurationError, match="another insulad"), only_one(layout):
        pass


def test_a_second_daemon_is_told_who_has_the_prefix(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    make_directories(layout)
    with only_one(layout) as path:
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(ConfigurationError, match=rf"process {os.getpid()}.*--prefix"), only_one(layout):
            pass
    with only_one(layout):
        pass


def test_the_lock_of_a_killed_daemon_is_free(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    make_directories(layout)
    script = (
        "import os, signal; from pathlib import Path; from insula.layout import Layout;"
        "from insula.daemon.instance import only_one\n"
        f"with only_one(Layout.prefix(Path({str(tmp_path)!r}))): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with only_one(layout):
        pass


def test_the_lock_is_not_inherited(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    make_directories(layout)
    with only_one(layout):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with only_one(layout):
            pass
    finally:
        child.kill()
        child.wait()


def test_nobody_else_may_open_the_lock_whatever_its_mode_was(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    make_directories(layout)
    for _ in range(2):
        with only_one(layout) as path:
            assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
