"""The host's apt sources, of either style, as those of another release."""

from pathlib import Path

import pytest

from insula.storage.builders.aptsources import (
    AptSource,
    host_sources,
    origins,
    parse_deb822,
    parse_one_line,
    render,
    sources_for,
)

KEYRING = ("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg")
MAIN = AptSource(
    uris=("http://mirror.example/debian",),
    suites=("bookworm", "bookworm-updates"),
    components=("main", "contrib"),
    options=(KEYRING,),
)
SECURITY = AptSource(
    uris=("http://mirror.example/debian-security",),
    suites=("bookworm-security",),
    components=("main",),
    options=(KEYRING,),
)
STRANGER = AptSource(
    uris=("https://download.example/linux/debian",),
    suites=("bookworm",),
    components=("stable",),
    options=(("Signed-By", "/etc/apt/keyrings/stranger.gpg"),),
)


def test_one_line_style_with_and_without_options() -> None:
    text = """
    # a comment
    deb [arch=amd64,arm64 signed-by=/etc/k.gpg check-valid-until=no] http://a.example/debian bookworm main contrib # why
    deb-src http://a.example/debian bookworm main
    deb   http://b.example/debian/  bookworm-security   main
    deb http://flat.example/ ./
    nonsense
    """
    assert parse_one_line(text) == [
        AptSource(
            uris=("http://a.example/debian",),
            suites=("bookworm",),
            components=("main", "contrib"),
            options=(("Architectures", "amd64 arm64"), ("Signed-By", "/etc/k.gpg"), ("Check-Valid-Until", "no")),
        ),
        AptSource(uris=("http://b.example/debian/",), suites=("bookworm-security",), components=("main",)),
        AptSource(uris=("http://flat.example/",), suites=("./",), components=()),
    ]


DEB822 = """# the archive
Types: deb deb-src
URIs: http://a.example/debian
 http://b.example/debian
Suites: trixie trixie-updates
Components: main
# in the middle
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb-src
URIs: http://src.example
Suites: trixie
Components: main


Enabled: no
Types: deb
URIs: http://off.example
Suites: trixie
Components: main
"""


def test_deb822_style_with_several_addresses_a_key_inside_and_disabled_stanzas() -> None:
    (source,) = parse_deb822(DEB822)
    assert source.uris == ("http://a.example/debian", "http://b.example/debian")
    assert source.suites == ("trixie", "trixie-updates")
    assert source.option("signed-by").splitlines()[1:] == [
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " mQINBF",
        " -----END PGP PUBLIC KEY BLOCK-----",
    ]


def test_what_is_rendered_is_read_as_it_was() -> None:
    sources = [MAIN, SECURITY, *parse_deb822(DEB822)]
    assert parse_deb822(render(sources)) == sources


def test_all_files_are_read_in_apts_order(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://one.example/ bookworm main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.list").write_text("deb http://three.example/ bookworm main\n")
    (parts / "a.sources").write_text("Types: deb\nURIs: http://two.example/\nSuites: bookworm\nComponents: main\n")
    (parts / "c.list.disabled").write_text("deb http://none.example/ bookworm main\n")
    assert [source.uris[0] for source in host_sources(tmp_path)] == [
        "http://one.example/",
        "http://two.example/",
        "http://three.example/",
    ]


def test_a_host_without_apt_has_no_sources(tmp_path: Path) -> None:
    assert host_sources(tmp_path / "none") == []


def test_the_suites_are_swapped_and_the_rest_is_kept() -> None:
    assert sources_for("trixie", [MAIN, SECURITY], "bookworm", {}, "Debian") == [
        AptSource(
            uris=MAIN.uris, suites=("trixie", "trixie-updates"), components=("main", "contrib"), options=(KEYRING,)
        ),
        AptSource(uris=SECURITY.uris, suites=("trixie-security",), components=("main",), options=(KEYRING,)),
    ]


@pytest.mark.parametrize("alias", ["stable", "oldstable", "testing"])
def test_a_host_that_follows_an_alias_has_the_same_archives(alias: str) -> None:
    source = AptSource(uris=MAIN.uris, suites=(alias, f"{alias}-security"), components=("main",))
    (found,) = sources_for("trixie", [source], "bookworm", {}, "Debian")
    assert found.suites == ("trixie", "trixie-security")


def test_backports_proposed_updates_and_other_releases_are_not_taken_over() -> None:
    source = AptSource(
        uris=MAIN.uris,
        suites=("bookworm-backports", "bookworm-proposed-updates", "bullseye", "sid"),
        components=("main",),
    )
    assert sources_for("trixie", [source], "bookworm", {}, "Debian") == []


def test_a_strangers_archive_is_told_by_its_key() -> None:
    assert sources_for("trixie", [STRANGER, SECURITY], "bookworm", {}, "Debian")[0].uris == SECURITY.uris


def test_apts_lists_know_a_stranger_better_than_its_key_does() -> None:
    disguised = AptSource(
        uris=("https://pkgs.example/debian/",), suites=("bookworm",), components=("main",), options=(KEYRING,)
    )
    company = AptSource(
        uris=("http://mirror.corp.example/deb",),
        suites=("bookworm",),
        components=("main",),
        options=(("Signed-By", "/etc/apt/keyrings/corp.gpg"),),
    )
    known = {
        ("https://pkgs.example/debian", "bookworm"): "Stranger",
        ("http://mirror.corp.example/deb", "bookworm"): "Debian",
    }
    (found,) = sources_for("trixie", [disguised, company], "bookworm", known, "Debian")
    assert found.uris == company.uris


def test_apts_lists_of_this_host_can_be_asked() -> None:
    assert all(uri and suite and origin for (uri, suite), origin in origins().items())
