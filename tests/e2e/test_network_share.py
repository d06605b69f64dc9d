"""A share of the host's network, from the command line to a request that is answered."""

import socket
from pathlib import Path

import pytest

from tests.e2e.guests import insula
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "bpf.cgroup_addresses")

OWN = "192.0.2.60"


def test_a_guest_serves_at_its_part_of_the_hosts_network(insulad: Insulad, busybox_root: Path) -> None:
    host = insulad.host
    words = (
        "create",
        "--root",
        str(busybox_root),
        "--address",
        OWN,
        "--ports",
        "80",
        "web",
        "--",
        "httpd",
        "-f",
        "-p",
        "80",
    )
    insula(insulad, *words)
    refused = insula(insulad, "start", "web", check=False)
    assert refused.returncode != 0
    assert f"no interface of the host has the address {OWN}" in refused.stderr
    host.run("ip", "address", "add", f"{OWN}/32", "dev", "lo")
    insula(insulad, "start", "web")
    with host.network(), socket.create_connection((OWN, 80), timeout=patience(5)) as calling:
        calling.sendall(b"GET /etc/passwd HTTP/1.0\r\n\r\n")
        assert calling.recv(100).startswith(b"HTTP/1.")
    assert OWN in insula(insulad, "ls").stdout
    assert OWN in insulad.virsh("domifaddr", "web").stdout
    taken = insula(insulad, "exec", "web", "--", "httpd", "-f", "-p", "81", check=False)
    assert "Operation not permitted" in taken.stdout + taken.stderr
    assert "root" in insula(insulad, "exec", "web", "--", "wget", "-qO-", "http://127.0.0.1/etc/passwd").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--address", "127.0.0.1"), "127.0.0.1 cannot be the guest's"),
        (("--address", OWN, "--ports", "http"), "--address: "),
        (("--address", OWN, "--privileged"), "a privileged domain cannot be held"),
        (("--ports", "80"), "--ports belongs to --address"),
    ],
)
def test_a_share_that_cannot_be_is_refused_at_once(
    insulad: Insulad, busybox_root: Path, words: tuple[str, ...], complaint: str
) -> None:
    refused = insula(insulad, "create", "--root", str(busybox_root), *words, "web", check=False)
    assert refused.returncode != 0
    assert complaint in refused.stderr
    assert insula(insulad, "ls", "-aq").stdout == ""
