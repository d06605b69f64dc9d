"""Tests of insula.engine.guestnames: where roots keep names, hostile ones too."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.guestnames import name_files
from insula.engine.spec import NameFiles
from tests.descriptors import open_fds


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for each in (upper, lower):
        (each / "etc").mkdir(parents=True)
    before = open_fds()
    yield upper, lower
    assert open_fds() == before


def found(*layers: Path) -> NameFiles:
    fds = [os.open(each, os.O_PATH | os.O_DIRECTORY) for each in layers]
    try:
        return name_files(fds)
    finally:
        for fd in fds:
            os.close(fd)


def test_an_empty_root_has_nothing_there(layers: tuple[Path, Path]) -> None:
    assert found(*layers) == NameFiles(there=False)


def test_the_uppermost_layer_that_has_a_file_counts(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    (lower / "etc/resolv.conf").symlink_to("/elsewhere")
    (upper / "etc/resolv.conf").touch()
    (lower / "etc/hosts").write_text("127.0.0.1 lower\n")
    assert found(*layers) == NameFiles(hosts="127.0.0.1 lower\n")
    (upper / "etc/hosts").write_text("127.0.0.1 upper\n")
    assert found(*layers).hosts == "127.0.0.1 upper\n"


@pytest.mark.parametrize(
    ("link", "resolver", "resolved"),
    [
        ("../run/systemd/resolve/stub-resolv.conf", "run/systemd/resolve/stub-resolv.conf", True),
        ("/run/systemd/resolve/resolv.conf", "run/systemd/resolve/resolv.conf", True),
        ("/var/run/NetworkManager/resolv.conf", "run/NetworkManager/resolv.conf", False),
        ("../../../../etc/other", "etc/other", False),
    ],
)
def test_a_link_is_followed_below_the_root(layers: tuple[Path, Path], link: str, resolver: str, resolved: bool) -> None:
    (layers[1] / "etc/resolv.conf").symlink_to(link)
    assert found(*layers) == NameFiles(resolver=resolver, there=False, resolved=resolved)
    (layers[1] / resolver).parent.mkdir(parents=True, exist_ok=True)
    (layers[1] / resolver).touch()
    assert found(*layers) == NameFiles(resolver=resolver, there=True, resolved=resolved)


def test_links_in_a_circle_come_to_an_end(layers: tuple[Path, Path]) -> None:
    (layers[0] / "etc/resolv.conf").symlink_to("resolv.conf")
    assert found(*layers).resolver == "etc/resolv.conf"


def test_what_a_layer_has_taken_away_is_not_looked_for_below(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    (lower / "etc/hosts").write_text("127.0.0.1 lower\n")
    (lower / "etc/resolv.conf").touch()
    for name in ("hosts", "resolv.conf"):
        os.mknod(upper / "etc" / name, 0o020000, 0)
    assert found(*layers) == NameFiles(there=False)


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_hosts_that_are_no_file_are_none_and_nobody_waits(layers: tuple[Path, Path], kind: str) -> None:
    where = layers[0] / "etc/hosts"
    match kind:
        case "fifo":
            os.mkfifo(where)
        case "directory":
            where.mkdir()
        case "link":
            where.symlink_to("/etc/passwd")
    assert found(*layers).hosts == ""
