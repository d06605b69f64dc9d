"""Programs of another suite: found where they are, refused where they are not."""

from pathlib import Path

import pytest

from tests import cache, sideload


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))


def own_program(directory: Path, name: str, version: str) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    return program


def test_the_hosts_own_program_serves_if_its_version_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = own_program(tmp_path, "virsh", "12.8.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert sideload.found("virsh-12") == program
    with pytest.raises(sideload.NotThereError, match="virsh-11 is not side-loaded"):
        sideload.found("virsh-11")


def test_a_side_loaded_program_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_program(tmp_path, "virsh", "12.8.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    wrapper = sideload.place_of("virsh-12", "sid")
    wrapper.parent.mkdir(parents=True)
    wrapper.touch()
    assert sideload.found("virsh-12") == wrapper


def test_the_next_suite_serves_where_the_first_has_nothing() -> None:
    wrapper = sideload.place_of("criu", "trixie")
    wrapper.parent.mkdir(parents=True)
    wrapper.touch()
    assert sideload.found("criu") == wrapper
