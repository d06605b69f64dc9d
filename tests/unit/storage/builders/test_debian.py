"""Recipes, command lines and progress of Debian builds; a real build is in tests/system/test_images.py."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError, OperationFailedError
from insula.storage.builders.aptsources import AptSource
from insula.storage.builders.debian import PACKAGES, DebianBuilder, command, guest_sources, progress_of
from insula.storage.builders.imagebuilder import Progress, Recipe

HOST = [
    AptSource(
        uris=("http://mirror.example/debian",),
        suites=("bookworm", "bookworm-updates"),
        components=("main", "non-free-firmware"),
    ),
    AptSource(uris=("http://mirror.example/security",), suites=("bookworm-security",), components=("main",)),
]


def recipe(source: str, **options: str) -> Recipe:
    found = DebianBuilder().recipe(source, options)
    assert found is not None
    return found


def sources(chosen: Recipe, host: list[AptSource] = HOST) -> list[AptSource]:
    return guest_sources(chosen, host, "bookworm", "debian", {})


@pytest.mark.parametrize(
    ("source", "suite", "distribution"),
    [
        ("debian-12", "bookworm", "debian"),
        ("debian-13", "trixie", "debian"),
        ("debian-sid", "sid", "debian"),
        ("ubuntu-24.04", "noble", "ubuntu"),
        ("ubuntu-jammy", "jammy", "ubuntu"),
    ],
)
def test_a_source_names_a_release_by_number_or_code_name(source: str, suite: str, distribution: str) -> None:
    chosen = recipe(source)
    assert (chosen.option("suite"), chosen.option("distribution")) == (suite, distribution)


@pytest.mark.parametrize("source", ["busybox", "fedora-40", "debianish"])
def test_other_sources_are_left_to_others(source: str) -> None:
    assert DebianBuilder().recipe(source, {}) is None


def test_a_recipe_is_complete_and_sorted() -> None:
    assert recipe("debian-12", packages="vim, nginx,vim", slim="yes").options == (
        ("console", "login"),
        ("distribution", "debian"),
        ("packages", "nginx,vim"),
        ("slim", "yes"),
        ("suite", "bookworm"),
    )


@pytest.mark.parametrize(
    ("source", "options", "complaint"),
    [
        ("debian-", {}, "names no release"),
        ("debian-12.5.1!", {}, "names no release"),
        ("debian-12", {"suite": "../x"}, "names no release"),
        ("debian-12", {"flavour": "x"}, "no option 'flavour'; it knows suite"),
        ("debian-12", {"slim": "perhaps"}, "expected no or yes"),
        ("debian-12", {"packages": "vim;rm -rf"}, "is no package's name"),
        ("debian-12", {"packages": "--option"}, "is no package's name"),
        ("debian-12", {"mirror": "example"}, "is no address"),
        ("debian-12", {"mirror": "http://x/ [trusted=yes]"}, "is no address"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(source: str, options: Mapping[str, str], complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        DebianBuilder().recipe(source, options)


def test_the_hosts_archives_serve_another_release() -> None:
    main, security = sources(recipe("debian-13"))
    assert main.uris == ("http://mirror.example/debian",)
    assert main.suites == ("trixie", "trixie-updates")
    assert security.suites == ("trixie-security",)


def test_a_rolling_release_has_neither_updates_nor_security() -> None:
    (only,) = sources(recipe("debian-sid"))
    assert only.suites == ("sid",)


def test_an_old_release_has_no_firmware_component() -> None:
    assert sources(recipe("debian-11"))[0].components == ("main",)


def test_a_mirror_takes_the_place_of_the_main_archive_only() -> None:
    main, security = sources(recipe("debian-13", mirror="http://fast.example/debian"))
    assert main.uris == ("http://fast.example/debian",)
    assert main.suites == ("trixie", "trixie-updates")
    assert security.uris == ("http://mirror.example/security",)


def test_another_distribution_needs_a_mirror() -> None:
    with pytest.raises(OperationFailedError, match="no archive of Ubuntu; give one: --option mirror=URL"):
        sources(recipe("ubuntu-24.04"))
    (only,) = sources(recipe("ubuntu-24.04", mirror="http://ubuntu.example/ubuntu"))
    assert only == AptSource(uris=("http://ubuntu.example/ubuntu",), suites=("noble",), components=("main",))


def test_a_host_without_archives_is_told_to_name_one() -> None:
    with pytest.raises(OperationFailedError, match="--option mirror=URL"):
        sources(recipe("debian-12"), [])


def test_the_command_installs_an_init_and_takes_sources_from_standard_input() -> None:
    chosen = recipe("debian-13", packages="nginx")
    line = command(chosen, sources(chosen), Path("/build/apt.conf"), Path("/build/rootfs"))
    assert line[0] == "mmdebstrap"
    assert line[-3:] == ["trixie", "/build/rootfs", "-"]
    (include,) = (each for each in line if each.startswith("--include="))
    assert include == f"--include={','.join((*PACKAGES, 'systemd-resolved', 'nginx'))}"
    assert "systemd-sysv" in PACKAGES
    assert not any("path-exclude" in each for each in line)


def test_a_slim_guest_is_built_without_documentation() -> None:
    chosen = recipe("debian-13", slim="yes")
    line = command(chosen, sources(chosen), Path("/c"), Path("/r"))
    assert "--dpkgopt=path-exclude=/usr/share/man/*" in line


def test_archives_behind_tls_bring_the_certificates() -> None:
    chosen = recipe("debian-13", mirror="https://mirror.example/debian")
    (include,) = (each for each in command(chosen, sources(chosen), Path("/c"), Path("/r")) if "--include" in each)
    assert include.endswith(",ca-certificates")


OUTPUT = """I: running apt-get update...
Get:1 http://mirror.example/debian bookworm InRelease [151 kB]
I: downloading packages with apt...
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Get:1 http://mirror.example/debian bookworm/main amd64 libc6 amd64 2.36 [2757 kB]
Get:2 http://mirror.example/debian bookworm/main amd64 dash amd64 0.5 [97 kB]
I: extracting archives...
I: installing essential packages...
Unpacking libc6:amd64 (2.36-9) ...
Setting up libc6:amd64 (2.36-9) ...
Setting up dash (0.5.12-2) ...
I: installing remaining packages inside the chroot...
0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.
Get:1 http://mirror.example/debian bookworm/main amd64 dbus amd64 1.14 [97 kB]
Unpacking dbus (1.14) ...
Setting up dbus (1.14) ...
Processing triggers for libc-bin (2.36-9) ...
I: cleaning package lists and apt cache...
I: success in 14.1 seconds
""".splitlines()


def test_progress_follows_the_output_and_never_goes_back() -> None:
    seen: list[Progress] = []
    watch = progress_of(seen.append)
    for line in OUTPUT:
        watch(line)
    fractions = [each.fraction for each in seen if each.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.9 < fractions[-1] < 1
    texts = [each.text for each in seen]
    assert "reading package lists" in texts
    assert "downloading libc6" in texts
    assert "unpacking libc6" in texts
    assert "setting up dbus" in texts


def test_lines_we_do_not_know_are_no_progress() -> None:
    seen: list[Progress] = []
    watch = progress_of(seen.append)
    for line in ("", "W: strange", "I: something new...", "Setting up"):
        watch(line)
    assert seen == []


def test_what_was_downloaded_is_counted_also_of_package_lists() -> None:
    seen: list[Progress] = []
    watch = progress_of(seen.append)
    for line in (
        "I: running apt-get update...",
        "Get:1 http://mirror.example bookworm InRelease [151 kB]",
        "Get:2 http://mirror.example bookworm/main amd64 Packages [8,790 kB]",
        "I: downloading packages with apt...",
        "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
        "Get:1 http://mirror.example bookworm/main amd64 libc6 amd64 2.36-9 [2.5 MB]",
    ):
        watch(line)
    assert [each.received for each in seen] == [0, 151_000, 8_941_000, 8_941_000, 11_441_000], seen
