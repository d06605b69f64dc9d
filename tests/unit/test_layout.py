"""Tests of insula.layout."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from insula.errors import ConfigurationError
from insula.layout import PREFIX_VARIABLE, UNIX_SOCKET_PATH_MAX, Layout, layout_from

PLACES = [each.name for each in fields(Layout) if each.name != "root"] + [
    name for name, kind in vars(Layout).items() if isinstance(kind, property)
]


def test_without_a_prefix_the_systems_usual_places_are_used() -> None:
    layout = Layout.system()
    assert layout.socket == Path("/run/libvirt/virtlxcd-sock")
    assert layout.socket_read_only == Path("/run/libvirt/virtlxcd-sock-ro")
    assert layout.definitions == Path("/etc/insula/domains")
    assert layout.images == Path("/var/lib/insula/images")
    assert layout.logs == Path("/var/log/insula")
    assert layout.keeper_socket(1) == Path("/run/insula/keeper.sock")
    assert layout.keeper_socket(12) == Path("/run/insula/keeper-12.sock")


def test_every_place_is_below_the_prefix_and_its_own(tmp_path: Path) -> None:
    places = [getattr(Layout.prefix(tmp_path), name) for name in PLACES]
    assert len(set(places)) == len(places) >= 10
    assert [place for place in places if tmp_path not in place.parents] == []
    for name in PLACES:
        below = getattr(Layout.prefix(tmp_path), name).relative_to(tmp_path)
        assert getattr(Layout.system(), name) == Path("/") / below


def test_an_explicit_prefix_goes_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX_VARIABLE, "/from/environment")
    assert layout_from("/explicit").root == Path("/explicit")
    assert layout_from(Path("/explicit")).root == Path("/explicit")
    assert layout_from(None).root == Path("/from/environment")


@pytest.mark.parametrize("value", [None, ""])
def test_with_no_prefix_at_all_it_is_the_system_itself(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(PREFIX_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(PREFIX_VARIABLE, value)
    assert layout_from(None) == Layout.system()


@pytest.mark.parametrize("prefix", ["relative", "./here", "..", ""])
def test_a_relative_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the prefix '{prefix}' is relative; give an absolute directory"):
        layout_from(prefix)


def test_a_relative_prefix_of_the_environment_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX_VARIABLE, "relative")
    with pytest.raises(ConfigurationError, match="relative"):
        layout_from(None)


def longest_prefix() -> str:
    """Return the longest prefix below which every socket's path fits."""
    plain = Layout.system()
    longest = max(len(str(path)) for path in (plain.socket, plain.socket_read_only, plain.keeper_socket(99)))
    return "/" + "x" * (UNIX_SOCKET_PATH_MAX - longest - 1)


def test_the_longest_prefix_is_taken_and_one_byte_more_is_refused() -> None:
    layout = layout_from(longest_prefix())
    assert len(os.fspath(layout.socket_read_only)) == UNIX_SOCKET_PATH_MAX
    with pytest.raises(
        ConfigurationError, match="is 1 bytes too long for a UNIX socket below it; choose a shorter one"
    ):
        layout_from(longest_prefix() + "x")


def test_length_is_counted_in_bytes() -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        layout_from(longest_prefix()[:-1] + "ü")
