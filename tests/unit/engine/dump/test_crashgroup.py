"""Which group who takes a core joins; the kernel's own groups are in tests/e2e/test_crashing_guests.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from insula.engine.dump import crashgroup
from insula.engine.dump.crashgroup import LEAF, NoPlaceError, join_group

SCOPE = "machine.slice/web.scope"
MOUNTS = """\
30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
31 24 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu
33 24 0:29 /part /srv/memory rw - cgroup cgroup rw,memory
34 24 0:30 / / rw - ext4 /dev/vda rw
"""
GROUPS = """\
12:cpu,cpuacct:/machine.slice/web.scope
2:memory:/machine.slice/web.scope
1:name=systemd:/
0::/machine.slice/web.scope/payload/a:b
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two hierarchies in which a guest's group tells of it, and this process's oom_score_adj in a file."""
    facts = {f"{tmp_path}/v2/{SCOPE}"}
    found = {"": f"{tmp_path}/v2", "cpu,cpuacct": f"{tmp_path}/cpu"}
    for top in found.values():
        Path(top, SCOPE, "payload").mkdir(parents=True)
    for name in ("cgroup.procs", "cgroup.threads"):
        Path(found[""], SCOPE, name).touch()
    Path(found["cpu,cpuacct"], SCOPE, "tasks").touch()
    Path(found[""], SCOPE, LEAF).mkdir()
    Path(found[""], SCOPE, LEAF, "cgroup.procs").touch()

    def attribute(path: str, name: str) -> bytes:
        assert name == "trusted.insula.guest"
        if path not in facts:
            raise OSError(61, "no data")
        return b"facts"

    monkeypatch.setattr(crashgroup, "_mounts", lambda: found)
    monkeypatch.setattr(crashgroup, "_groups", lambda pid: {"cpu,cpuacct": SCOPE, "": f"{SCOPE}/payload/x"})
    monkeypatch.setattr(os, "getxattr", attribute)
    monkeypatch.setattr(crashgroup, "_OOM_SCORE", str(tmp_path / "score"))
    return found


def test_the_guests_group_is_joined_in_each_hierarchy_beside_what_the_guest_sees(mounts: dict[str, str]) -> None:
    place = join_group(7)
    assert place is not None
    assert Path(mounts["cpu,cpuacct"], SCOPE, "tasks").read_text() == "0"
    assert Path(mounts[""], SCOPE, LEAF, "cgroup.procs").read_text() == "0"
    assert Path(crashgroup._OOM_SCORE).read_text() == "1000"
    os.close(place)


def test_who_finds_no_place_joins_nothing(mounts: dict[str, str]) -> None:
    places = [join_group(7), join_group(7)]
    Path(mounts["cpu,cpuacct"], SCOPE, "tasks").write_text("")
    with pytest.raises(NoPlaceError, match="other cores of its guest are being kept"):
        join_group(7)
    assert Path(mounts["cpu,cpuacct"], SCOPE, "tasks").read_text() == ""
    for each in places:
        assert each is not None
        os.close(each)
    again = join_group(7)
    assert again is not None
    os.close(again)


def test_a_group_that_takes_nobody_in_costs_the_core_and_keeps_no_place(mounts: dict[str, str]) -> None:
    leaf = Path(mounts[""], SCOPE, LEAF)
    (leaf / "cgroup.procs").unlink()
    (leaf / "cgroup.procs").mkdir()
    for _ in range(3):  # more than there are places
        with pytest.raises(NoPlaceError, match=r"cannot be joined: .*Is a directory"):
            join_group(7)


def test_who_is_no_guests_joins_nothing(mounts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashgroup, "_groups", lambda pid: {"": "user.slice/session", "cpu,cpuacct": ""})
    assert join_group(7) is None
    assert not Path(crashgroup._OOM_SCORE).exists()


def test_hierarchies_are_known_by_their_controllers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    (tmp_path / "cgroup").write_text(GROUPS)
    monkeypatch.setattr(crashgroup, "_MOUNTINFO", str(tmp_path / "mountinfo"))
    assert crashgroup._mounts() == {"": "/sys/fs/cgroup/unified", "cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}
    assert crashgroup._read_groups(str(tmp_path / "cgroup")) == {
        "cpu,cpuacct": SCOPE,
        "memory": SCOPE,
        "": f"{SCOPE}/payload/a:b",
    }
    with pytest.raises(FileNotFoundError):
        crashgroup._groups(2**22 + 1)


def test_what_comes_before_it_at_each_crash_is_the_interpreter_alone() -> None:
    code = "import sys; before = set(sys.modules); import insula.daemon.crashentry; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    foreign = {each for each in done.stdout.split() if not each.startswith("insula")}
    assert foreign <= {
        "errno",
        "fcntl",
        "importlib",
        "importlib._bootstrap",
        "importlib._bootstrap_external",
        "warnings",
    }
