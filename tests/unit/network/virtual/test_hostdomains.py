"""Names of a network on the host, by a program that stands for resolvectl."""

from pathlib import Path

import pytest

from insula.network.virtual.hostdomains import register_domain


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What resolvectl was asked for, a line each; it refuses what the file `refuse` names."""
    program = tmp_path / "resolvectl"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n'
        f'[ "$1" != "$(cat {tmp_path}/refuse 2>/dev/null)" ] || {{ echo \'no such link\' >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_only_questions_about_the_domain_go_to_the_network(asked: Path, tmp_path: Path) -> None:
    servers = ["192.168.122.1", "fd00:122::1"]
    assert register_domain("virbr0", "lan", servers, socket=tmp_path) is None
    assert asked.read_text().splitlines() == [
        "dns virbr0 192.168.122.1 fd00:122::1",
        "domain virbr0 ~lan",
        "default-route virbr0 no",
    ]


def test_what_is_refused_is_told(asked: Path, tmp_path: Path) -> None:
    (tmp_path / "refuse").write_text("domain")
    assert register_domain("virbr0", "lan", ["192.168.122.1"], socket=tmp_path) == "resolvectl domain: no such link"
    assert len(asked.read_text().splitlines()) == 2


def test_a_host_without_systemd_resolved_is_told(asked: Path, tmp_path: Path) -> None:
    assert register_domain("virbr0", "lan", [], socket=tmp_path / "none") == "systemd-resolved does not run"
    assert not asked.exists()
