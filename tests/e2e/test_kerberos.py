"""Clients with a ticket of Kerberos: virsh by TCP, encrypted by it, and what is refused."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.authority.saslusers import SaslUsers, write_users
from insula.rpc.arrivals import Failure, Reply, Role
from insula.rpc.connection import Connection
from insula.rpc.procedures import Remote
from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.kerberoshost import KerberosHost
from tests.libvirt_python import DIST_PACKAGES
from tests.waiting import patience

pytestmark = pytest.mark.requires("virsh", "sasl.gssapi")

TCP = "lxc+tcp://localhost/system"


@pytest.fixture
def realm(insulad: Insulad, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KerberosHost]:
    """A realm, and the daemon's key in it; the daemon finds python3-gssapi when it is started again."""
    insulad.host.run("ip", "link", "set", "lo", "up")
    shown = scratch / "python"
    shown.mkdir()
    for each in ("gssapi", "decorator.py"):
        (shown / each).symlink_to(DIST_PACKAGES / each)
    kerberos = KerberosHost(insulad.host, scratch / "realm")
    for name, value in kerberos.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(shown))
    kerberos.start()
    yield kerberos
    monkeypatch.undo()
    insulad.stop()
    insulad.layout.settings.unlink()
    insulad.start()
    kerberos.close()


def configure(insulad: Insulad, keytab: Path, settings: str = "listen_tcp = true\n") -> None:
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text(f'sasl_keytab = "{keytab}"\n{settings}')
    insulad.restart()


def virsh(insulad: Insulad, ticket: dict[str, str], *words: str, uri: str = TCP) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ticket}
    return insulad.host.run(
        "virsh", "-c", uri, *words, check=False, stdin=subprocess.DEVNULL, env=environment, timeout=patience(90)
    )


def test_virsh_with_a_ticket_comes_by_tcp_and_everything_is_encrypted(
    insulad: Insulad, realm: KerberosHost, scratch: Path, busybox_root: Path
) -> None:
    configure(insulad, realm.keytab)
    anna = realm.ticket("anna")
    definition = scratch / "definition.xml"
    definition.write_text(domain_xml("wrapped", busybox_root))
    for words in (
        ("define", str(definition)),
        ("desc", "wrapped", "--config", "x" * 100_000),
        ("list", "--all"),
        ("capabilities",),
    ):
        told = virsh(insulad, anna, *words)
        assert told.returncode == 0, told.stderr
    assert "x" * 100_000 in virsh(insulad, anna, "dumpxml", "wrapped").stdout, "longer than a piece"
    assert virsh(insulad, anna, "undefine", "wrapped").returncode == 0


def insula(insulad: Insulad, ticket: dict[str, str], *words: str, uri: str = TCP) -> subprocess.CompletedProcess[str]:
    return insulad.host.run(
        sys.executable, "-m", "insula.cli.main", "-c", uri, *words,
        check=False, stdin=subprocess.DEVNULL, env={**os.environ, **ticket}, timeout=patience(90),
    )  # fmt: skip


def test_our_own_command_line_and_both_faces_of_the_sdk_come_by_a_ticket_too(
    insulad: Insulad, realm: KerberosHost, scratch: Path, busybox_root: Path
) -> None:
    configure(insulad, realm.keytab, 'listen_tcp = true\nauth_unix_rw = "sasl"\n')
    anna = realm.ticket("anna")
    definition = scratch / "definition.xml"
    description = f"<description>{'x' * 100_000}</description><devices>"
    definition.write_text(domain_xml("wrapped", busybox_root).replace("<devices>", description))
    assert virsh(insulad, anna, "define", str(definition)).returncode == 0
    assert "x" * 100_000 in insula(insulad, anna, "xml", "wrapped").stdout, "longer than a piece"
    for words in (("start", "wrapped"), ("ls", "--all"), ("log", "wrapped"), ("kill", "wrapped"), ("rm", "wrapped")):
        told = insula(insulad, anna, *words)
        assert told.returncode == 0, told.stderr
    local = insula(insulad, anna, "ls", uri=insulad.uri)
    assert local.returncode == 0, local.stderr
    faces = f"""
import asyncio, insula
with insula.connect({TCP!r}) as host:
    print(len(host.domains()))
async def main():
    async with await insula.connect_async({TCP!r}) as host:
        print(len(await host.domains()))
asyncio.run(main())
"""
    asked = insulad.host.run(sys.executable, "-c", faces, check=False, env={**os.environ, **anna}, timeout=patience(90))
    assert (asked.returncode, asked.stdout.split()) == (0, ["0", "0"]), asked.stderr
    nobody = insula(insulad, {**anna, "KRB5CCNAME": f"FILE:{scratch}/none"}, "ls")
    assert nobody.returncode and "no ticket of Kerberos for libvirt/localhost (kinit gets one)" in nobody.stderr
    without = insula(insulad, {**anna, "PYTHONPATH": ""}, "ls")
    assert without.returncode and "python3-gssapi" in without.stderr


def test_who_has_no_ticket_or_is_not_on_the_list_stays_outside(
    insulad: Insulad, realm: KerberosHost, scratch: Path
) -> None:
    configure(insulad, realm.keytab, 'listen_tcp = true\nsasl_allowed_username_list = ["anna@INSULA.TEST"]\n')
    anna, eve = realm.ticket("anna"), realm.ticket("eve")
    assert virsh(insulad, anna, "uri").returncode == 0
    refused = virsh(insulad, eve, "uri")
    assert refused.returncode == 1 and "who you are is not proved" in refused.stderr
    assert "did not prove to be 'eve@INSULA.TEST' by 'GSSAPI'" in insulad.log_text()
    nobody = {**anna, "KRB5CCNAME": f"FILE:{scratch}/none"}
    assert virsh(insulad, nobody, "uri").returncode == 1


def test_a_ticket_for_another_service_of_the_same_key_file_is_refused(
    insulad: Insulad, realm: KerberosHost, scratch: Path
) -> None:
    other = scratch / "other.keytab"
    realm.service("imap", other)
    configure(insulad, other)
    assert virsh(insulad, realm.ticket("anna"), "uri").returncode == 1


def test_a_ticket_proves_who_one_is_on_this_host_too(insulad: Insulad, realm: KerberosHost) -> None:
    configure(insulad, realm.keytab, 'auth_unix_rw = "sasl"\n')
    told = virsh(insulad, realm.ticket("anna"), "list", uri=insulad.uri)
    assert told.returncode == 0, told.stderr


def test_where_there_are_passwords_who_has_no_ticket_comes_in_by_one_and_tcp_stays_for_tickets(
    insulad: Insulad, realm: KerberosHost, scratch: Path
) -> None:
    users = insulad.layout.settings.with_name("sasl-users")
    users.parent.mkdir(parents=True, exist_ok=True)
    write_users(users, SaslUsers().with_password("anna", "pencil"))
    configure(insulad, realm.keytab, 'auth_unix_rw = "sasl"\nlisten_tcp = true\n')
    file = scratch / "auth.conf"
    file.write_text("[credentials-x]\nauthname=anna\npassword=pencil\n[auth-libvirt-localhost]\ncredentials=x\n")
    nobody = {**realm.ticket("bert"), "KRB5CCNAME": f"FILE:{scratch}/none", "LIBVIRT_AUTH_FILE": str(file)}
    told = virsh(insulad, nobody, "list", uri=insulad.uri)
    assert told.returncode == 0, told.stderr
    assert virsh(insulad, nobody, "list").returncode == 1
    assert virsh(insulad, realm.ticket("carl"), "list").returncode == 0


@contextlib.contextmanager
def connected(insulad: Insulad) -> Iterator[socket.socket]:
    with insulad.host.network():
        client = socket.create_connection(("127.0.0.1", 16509), timeout=patience(30))
    with client:
        yield client


def told(client: socket.socket, wire: Connection) -> Reply | Failure:
    for data, _ in wire.data_to_send():
        client.sendall(data)
    while True:
        data = client.recv(65536)
        assert data, "hung up"
        for event in wire.receive_data(data):
            assert isinstance(event, Reply | Failure)
            return event


def test_by_tcp_nobody_gives_a_password_or_does_anything_in_the_clear(insulad: Insulad, realm: KerberosHost) -> None:
    configure(insulad, realm.keytab)
    with connected(insulad) as client:
        wire = Connection(Role.CLIENT)
        wire.call(Remote.AUTH_SASL_INIT)
        offered = told(client, wire)
        assert isinstance(offered, Reply) and offered.values.mechlist == "GSSAPI"
        for row, arguments in (
            (Remote.CONNECT_OPEN, ("lxc:///system", 0)),
            (Remote.AUTH_SASL_START, ("SCRAM-SHA-512", 0, b"n,,n=anna,r=aaaaaaaa")),
            (Remote.AUTH_SASL_START, ("GSSAPI", 0, b"\x60" + b"x" * 300)),
            (Remote.AUTH_SASL_STEP, (1, b"")),
        ):
            wire.call(row, *arguments)
            assert isinstance(told(client, wire), Failure), row


@pytest.mark.parametrize("kind", ["missing", "nonsense", "everybody's"])
def test_without_a_key_that_can_be_used_there_is_no_tcp(
    insulad: Insulad, realm: KerberosHost, scratch: Path, kind: str
) -> None:
    keytab = scratch / "keytab"
    if kind == "nonsense":
        keytab.write_bytes(b"no key")
    if kind == "everybody's":
        keytab.write_bytes(realm.keytab.read_bytes())
        keytab.chmod(0o644)
    with pytest.raises(AssertionError, match="ended with 2"):
        configure(insulad, keytab)
    assert str(keytab) in insulad.log_text()
    insulad.process = None
    insulad.layout.settings.write_text("")
    insulad.start()
