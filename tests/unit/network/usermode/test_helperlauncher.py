"""What a launch of a helper is told; what it does is seen in tests/system/test_user_cards.py."""

import os
from pathlib import Path

import pytest

from insula.network.usermode import helperlauncher
from insula.network.usermode.helperlauncher import HelperLaunch, is_own, user_namespace_of

LAUNCH = HelperLaunch(command=("/usr/bin/pasta", "-f"), network=7, host=8, user=65534, resolvers=("10.0.2.3",))


def test_a_launch_survives_json() -> None:
    assert HelperLaunch.from_json(LAUNCH.to_json()) == LAUNCH
    bare = HelperLaunch(command=("/bin/true",), network=1, host=2, user=0, log="/l", requests=("{}",))
    assert HelperLaunch.from_json(bare.to_json()) == bare


def test_the_user_namespace_of_our_own_network_is_ours() -> None:
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        namespace = user_namespace_of(network)
    finally:
        os.close(network)
    assert is_own(namespace)
    os.close(namespace)


@pytest.mark.parametrize(
    ("text", "user", "ids"),
    [
        ("0 100000 65536\n", 65534, (65534, 165534)),
        ("0 100000 1000\n", 65534, (0, 100000)),
        ("0 100000 10\n65534 7 1\n", 65534, (65534, 7)),
        ("1000 5 1\n", 0, (1000, 5)),
    ],
)
def test_a_user_is_found_in_a_map_or_else_its_root(text: str, user: int, ids: tuple[int, int]) -> None:
    assert helperlauncher._mapped(text, user) == ids


@pytest.mark.requires("root")
def test_a_log_of_other_ids_is_kept_aside_and_a_file_of_roots_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("kept")
    with pytest.raises(FileExistsError, match="another's file"):
        helperlauncher._log_file(str(log), (65536, 65536))
    (tmp_path / "link").symlink_to(log)
    with pytest.raises(FileExistsError, match="another's file"):
        helperlauncher._log_file(str(tmp_path / "link"), (65536, 65536))
    assert log.read_text() == "kept"
    os.chown(log, 131072, 131072)
    os.close(helperlauncher._log_file(str(log), (65536, 65536)))
    assert (tmp_path / "log.1").read_text() == "kept"
    assert (log.read_text(), log.stat().st_uid) == ("", 65536)


def test_the_helpers_own_nameserver_stands_behind_those_of_the_host() -> None:
    lines = helperlauncher._resolver_text(("10.0.2.3",)).splitlines()
    assert lines[-1] == "nameserver 10.0.2.3"
