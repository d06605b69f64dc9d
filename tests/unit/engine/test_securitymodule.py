"""Tests of insula.engine.securitymodule, with the kernel's answers and the parser given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine import securitymodule
from insula.engine.policy.apparmorprofiles import PROFILES
from insula.engine.securitymodule import own_profile, security_model, unready
from insula.kernel import apparmor

NAMES = frozenset(each.name for each in PROFILES)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    unready.cache_clear()
    yield
    unready.cache_clear()


@pytest.fixture
def active(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A host with AppArmor that has no profile of ours."""
    monkeypatch.setattr(apparmor, "takes_profiles", lambda: True)
    monkeypatch.setattr(apparmor, "loaded_profiles", lambda: frozenset({"/usr/bin/man"}))
    return monkeypatch


def parser(directory: Path, script: str) -> Path:
    program = directory / "apparmor_parser"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_host_without_apparmor_has_no_model_and_nothing_to_complain_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor, "takes_profiles", lambda: False)
    assert (unready(), security_model(), own_profile(privileged=True)) == ("", "none", None)


def test_profiles_that_are_loaded_are_used_as_they_are(active: pytest.MonkeyPatch) -> None:
    active.setattr(apparmor, "loaded_profiles", lambda: NAMES)
    active.setattr(securitymodule, "_PARSERS", ())
    assert (unready(), security_model()) == (None, "apparmor")
    assert {own_profile(privileged=True), own_profile(privileged=False)} == NAMES


def test_those_that_are_missing_are_loaded(active: pytest.MonkeyPatch, tmp_path: Path) -> None:
    active.setattr(securitymodule, "_PARSERS", ("/nowhere", str(parser(tmp_path, f"cat >> {tmp_path}/loaded"))))
    assert unready() is None
    assert (tmp_path / "loaded").read_text() == "".join(each.text for each in PROFILES)


def test_a_host_without_the_parser_says_what_to_install(active: pytest.MonkeyPatch) -> None:
    active.setattr(securitymodule, "_PARSERS", ("/nowhere",))
    assert "install the package apparmor" in (unready() or "")
    assert own_profile(privileged=False) is None


def test_what_the_parser_refuses_is_told_and_stops_nothing(active: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = parser(tmp_path, "cat > /dev/null; echo first >&2; echo 'no such abi' >&2; exit 1")
    active.setattr(securitymodule, "_PARSERS", (str(refusing),))
    assert (unready() or "").endswith("no such abi")
    assert security_model() == "none"


def test_policy_that_cannot_be_read_is_told(active: pytest.MonkeyPatch) -> None:
    def unreadable() -> frozenset[str]:
        raise FileNotFoundError(2, "No such file or directory")

    active.setattr(apparmor, "loaded_profiles", unreadable)
    assert "mount securityfs" in (unready() or "")
