"""Ways to other hosts: what ssh is asked for, what its end means, and certificates that are not there."""

import socket
from pathlib import Path

import pytest

from insula.errors import AuthenticationError, NobodyListensError, OperationFailedError
from insula.sdk.daemonaddress import parse_address
from insula.sdk.tunnels import opened
from tests.authority import Authority
from tests.waiting import until


def fake_ssh(directory: Path, script: str) -> str:
    """Make a program that is called as ssh is; return the address that leads through it."""
    program = directory / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"lxc+ssh://anna@web1:2222/system?command={program}&keyfile=/k"


def received(address: str, *, read_only: bool = False) -> bytes:
    """Return what comes first through a tunnel."""
    tunnel = opened(parse_address(address), read_only=read_only)
    try:
        found = until(tunnel.receive, "what comes through the tunnel", 30)
        return found[0] if found else b""
    finally:
        tunnel.close()


def test_ssh_is_told_where_to_go_and_starts_what_finds_the_socket(tmp_path: Path) -> None:
    told = received(fake_ssh(tmp_path, "printf '%s|' \"$@\"; cat >/dev/null")).decode().split("|")
    assert told[:11] == ["-T", "-e", "none", "-p", "2222", "-l", "anna", "-i", "/k", "--", "web1"]
    assert "virt-ssh-helper lxc:///system" in told[11] and "nc -U /run/libvirt/virtlxcd-sock;" in told[11]

    told = (
        received(fake_ssh(tmp_path, 'for last; do :; done; echo "$last"; cat >/dev/null'), read_only=True)
        .decode()
        .split("|")
    )
    assert "virt-ssh-helper -r lxc:///system" in told[0] and "virtlxcd-sock-ro" in told[0]


def test_a_named_socket_is_quoted_for_two_shells(tmp_path: Path) -> None:
    address = fake_ssh(tmp_path, 'for last; do :; done; echo "$last"; cat >/dev/null')
    assert received(f"{address}&socket=/a%27%20b;reboot").startswith(b"sh -c ")
    run = fake_ssh(tmp_path, 'for last; do :; done; nc() { printf "%s" "$2"; }; eval "set -- $last"; eval "${3#exec }"')
    assert received(f"{run}&socket=/a%27%20b;reboot") == b"/a' b;reboot"


def test_when_ssh_ends_its_status_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperationFailedError, match="ssh to web1 has ended with status 255"):
        received(fake_ssh(tmp_path, "exit 255"))
    with pytest.raises(OperationFailedError, match="'/nonexistent/ssh' cannot be executed"):
        received("lxc+ssh://web1/system?command=/nonexistent/ssh")


def test_ssh_is_ended_and_reaped_when_we_hang_up(tmp_path: Path) -> None:
    tunnel = opened(parse_address(fake_ssh(tmp_path, "echo $$; exec sleep 600")), read_only=False)
    received_first = until(tunnel.receive, "the number of the process", 30)
    assert received_first is not None
    tunnel.close()
    assert not Path(f"/proc/{int(received_first[0])}").exists()


@pytest.mark.requires("openssl")
def test_without_certificates_or_a_listener_there_is_no_way_by_tls(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match=r"the certificates for 127\.0\.0\.1 by tls cannot be used"):
        received(f"lxc+tls://127.0.0.1/system?pkipath={tmp_path}")
    anna = Authority(tmp_path / "authority").issue("client", "/CN=anna", tmp_path / "anna")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NobodyListensError, match=f"port {port}: "):
        received(f"lxc+tls://127.0.0.1:{port}/system?pkipath={anna}")
