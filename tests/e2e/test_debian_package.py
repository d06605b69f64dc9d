"""The Debian package, built and installed by Debian's own tools, where there is no network."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import roots
from tests.debianpackage import CHECKOUT, Debian, built, debian
from tests.enclosure import Enclosure

pytestmark = pytest.mark.timeout(900)

RELEASES = [pytest.param(each, marks=pytest.mark.requires(f"packaging-{each}")) for each in ("12", "13")]
UNITS = ("insulad.service", "virtlxcd.socket", "virtlxcd-ro.socket", "insula-guests.service")
TLS_SOCKET = "virtlxcd-tls.socket"
"""For other machines: an administrator's to enable."""


@pytest.fixture(params=RELEASES[:1])
def release(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def package(release: str, world: Enclosure) -> Path:
    return built(release, outside=world.outside)


@pytest.fixture
def host(release: str, package: Path, world: Enclosure) -> Iterator[Debian]:
    """A Debian of the release, with the directory of the package at /package."""
    with debian(roots.packaging(release, world.outside), [(package.parent, "package")]) as inside:
        yield inside


def install(host: Debian, package: Path) -> str:
    return host.run("apt-get", "install", "-y", "--no-install-recommends", f"/package/{package.name}").stdout


@pytest.mark.parametrize("release", RELEASES, indirect=True)
def test_lintian_finds_nothing(host: Debian, package: Path) -> None:
    found = host.run("lintian", "--allow-root", "--fail-on", "error,warning", f"/package/{package.name}")
    assert found.stdout == ""


def test_no_program_of_it_is_setuid(package: Path) -> None:
    command = ["dpkg-deb", "--contents", str(package)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    modes = [line.split()[0] for line in listed.splitlines()]
    assert any(mode.startswith("-rwxr-xr-x") for mode in modes)
    assert [mode for mode in modes if "s" in mode.lower()] == []


@pytest.mark.parametrize("release", RELEASES, indirect=True)
def test_apt_installs_what_it_says_and_nothing_has_to_be_done_by_hand(host: Debian, package: Path) -> None:
    install(host, package)
    assert host.run("insula", "--version").stdout.startswith("insula ")
    assert host.run("insulad", "--version").stdout.startswith("insulad ")
    assert host.run("systemctl", "is-enabled", *UNITS).stdout.split() == ["enabled"] * len(UNITS)
    assert host.run("systemctl", "is-enabled", TLS_SOCKET, check=False).stdout.strip() == "disabled"
    verified = host.run("systemd-analyze", "verify", *UNITS, TLS_SOCKET)
    assert (verified.stdout, verified.stderr) == ("", "")
    assert host.run("getent", "group", "libvirt").stdout != ""
    assert "nologin" in host.run("getent", "passwd", "insula").stdout
    modes = host.run(
        "stat", "-c", "%a %n", "/var/lib/insula/images", "/var/lib/insula/clones", "/var/log/insula"
    ).stdout
    assert re.findall(r"^\d+", modes, re.MULTILINE) == ["711", "711", "700"]
    for each in (
        "/usr/share/man/man1/insula.1.gz",
        "/usr/share/man/man8/insulad.8.gz",
        "/usr/share/bash-completion/completions/insula",
        "/usr/share/zsh/vendor-completions/_insula",
        "/usr/share/fish/vendor_completions.d/insula.fish",
        "/usr/share/ansible/plugins/connection/insula.py",
    ):
        assert host.run("dpkg", "-S", each).stdout.startswith("insula: ")


def test_ids_of_guests_are_written_down_once_and_never_anothers(host: Debian, package: Path) -> None:
    for file in ("/etc/subuid", "/etc/subgid"):
        host.run("sh", "-c", f"echo other:2000224256:65536 >> {file}")
    install(host, package)
    host.run("dpkg", "-i", f"/package/{package.name}")
    for file in ("/etc/subuid", "/etc/subgid"):
        assert host.read(file).splitlines() == [
            "other:2000224256:65536",
            "insula:2000289792:147062784",
            "insula:1879048192:121176064",
        ]


def test_removal_keeps_what_is_the_administrators_and_purge_names_it(host: Debian, package: Path) -> None:
    install(host, package)
    host.run(
        "sh", "-c", "mkdir /etc/insula/domains /var/lib/insula/clones/x; echo '<domain/>' > /etc/insula/domains/web.xml"
    )
    host.run("sh", "-c", "echo INSULAD_ARGS= > /etc/default/insulad")
    host.run("apt-get", "remove", "-y", "insula")
    assert host.read("/etc/default/insulad") == "INSULAD_ARGS=\n"
    said = host.run("apt-get", "purge", "-y", "insula").stdout
    assert re.search(r"insula: .* stay in /etc/insula /var/lib/insula,", said)
    assert host.read("/etc/insula/domains/web.xml") == "<domain/>\n"
    assert "insula:" in host.read("/etc/subuid")
    left = host.run("sh", "-c", "ls -d /etc/default/insula* /var/log/insula /var/cache/insula", check=False).stdout
    assert left == ""


def test_a_purge_where_nothing_was_made_leaves_nothing(host: Debian, package: Path) -> None:
    install(host, package)
    host.run("apt-get", "purge", "-y", "insula")
    left = ("/etc/insula", "/var/lib/insula", "/var/log/insula", "/usr/lib/python3/dist-packages/insula")
    assert host.run("ls", "-d", *left, check=False).stdout == ""
    assert "insula" not in host.read("/etc/subuid") + host.read("/etc/subgid")
    links = host.run("find", "/etc/systemd", "-name", "*insula*", "-o", "-name", "virtlxcd*").stdout
    assert links == ""


def test_a_purge_gives_back_what_the_package_claimed_and_nothing_else(host: Debian, package: Path) -> None:
    install(host, package)
    own = ("insula:1000000000:65536", "insulated:1879048192:65536", "other:3000000000:1")
    for file in ("/etc/subuid", "/etc/subgid"):
        host.run("sh", "-c", f"printf '%s\n' {' '.join(own)} >> {file}")
    host.run("apt-get", "purge", "-y", "insula")
    for file in ("/etc/subuid", "/etc/subgid"):
        assert host.read(file).splitlines() == list(own)


def test_a_purge_ends_well_where_somebody_else_has_the_files_of_ids(host: Debian, package: Path) -> None:
    install(host, package)
    # As useradd(8) and its like have them: the file names a living process.
    for file in ("/etc/subuid", "/etc/subgid"):
        host.run("sh", "-c", f"printf %s 1 > {file}.lock")
    said = host.run("apt-get", "purge", "-y", "insula").stdout
    assert "insula: the ids 1879048192 to 2000224255 stay with 'insula'" in said
    assert "insula:1879048192:" in host.read("/etc/subuid")


def test_it_and_the_lxc_driver_of_libvirt_exclude_each_other(host: Debian, package: Path) -> None:
    said = host.run("dpkg-deb", "--field", f"/package/{package.name}", "Conflicts").stdout
    assert said.strip() == "libvirt-daemon-driver-lxc"


@pytest.mark.requires("packaging-12", "packaging-13")
def test_a_package_that_one_release_built_installs_on_the_other(world: Enclosure) -> None:
    for builder, other in (("12", "13"), ("13", "12")):
        package = built(builder, outside=world.outside)
        with debian(roots.packaging(other, world.outside), [(package.parent, "package")]) as host:
            install(host, package)
            assert host.run("insula", "--version").stdout.startswith("insula ")
            assert host.run("systemctl", "is-enabled", *UNITS).stdout.split() == ["enabled"] * len(UNITS)


def test_the_package_has_the_version_of_the_project() -> None:
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert (CHECKOUT / "packaging/debian/changelog").read_text().startswith(f"insula ({version}) ")
