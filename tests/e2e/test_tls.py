"""Clients from afar: virsh over TLS with certificates of every kind, and strangers who never finish shaking hands."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.afar.certificates import name_of
from tests.authority import Authority
from tests.e2e.guests import domain_xml, seen_by_both_faces
from tests.insulad import START, Insulad
from tests.waiting import patience, scaled, until

pytestmark = pytest.mark.requires("virsh", "openssl")

PORT = 16514
PAST = ("20200101000000Z", "20200201000000Z")


@pytest.fixture
def authority(scratch: Path) -> Authority:
    return Authority(scratch / "authority")


@pytest.fixture
def serving(insulad: Insulad, authority: Authority, scratch: Path) -> Iterator[Path]:
    """The daemon listens for TLS on the test host's loopback; the directory of its certificate and key."""
    insulad.host.run("ip", "link", "set", "lo", "up")
    server = authority.issue("server", "/O=Insula/CN=localhost", scratch / "server")
    authority.revocations(server / "revoked.pem")
    configure(insulad, server)
    insulad.restart()
    yield server
    insulad.stop()
    insulad.layout.settings.unlink()
    insulad.start()


def configure(insulad: Insulad, server: Path, more: str = "") -> None:
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text(
        f'listen_tls = true\nca_file = "{server}/cacert.pem"\ncrl_file = "{server}/revoked.pem"\n'
        f'cert_file = "{server}/servercert.pem"\nkey_file = "{server}/serverkey.pem"\n{more}'
    )


def virsh(insulad: Insulad, identity: Path, *words: str) -> subprocess.CompletedProcess[str]:
    uri = f"lxc+tls://127.0.0.1/system?pkipath={identity}"
    environment = {**os.environ, "LC_ALL": "C"}
    return insulad.host.run("virsh", "-c", uri, *words, check=False, env=environment, timeout=patience(60))


def test_systemds_socket_starts_the_daemon_for_clients_from_afar_and_a_port_of_its_own_keeps_it(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path
) -> None:
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    insulad.restart("--timeout", "0.1")
    until(lambda: "it does not end when idle" in insulad.log_text(1 << 20), "the daemon saying that it stays")
    insulad.stop()
    settings = insulad.layout.settings.read_text()
    insulad.layout.settings.write_text(settings.replace("listen_tls = true\n", ""))
    with insulad.host.network(), socket.create_server(("127.0.0.1", PORT)) as listener, insulad.log.open("ab") as log:
        code = f"import os; os.dup2({listener.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); {START}"
        for _ in range(2):  # what systemd does for whoever comes
            daemon = insulad.host.start(
                sys.executable, "-c", code, "--prefix", str(insulad.prefix), "--timeout", "1",
                pass_fds=[listener.fileno()],
                env={**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "virtlxcd-tls.socket"}, stdout=log, stderr=log,
            )  # fmt: skip
            told = virsh(insulad, anna, "uri")
            assert told.returncode == 0, told.stderr + insulad.log_text()
            assert daemon.wait(patience(30)) == 0
    insulad.start()


def test_virsh_with_a_known_certificate_does_what_it_does_locally(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path, busybox_root: Path
) -> None:
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    definition = scratch / "definition.xml"
    definition.write_text(domain_xml("far", busybox_root))
    for words in (("define", str(definition)), ("dumpxml", "far"), ("list", "--all"), ("nodeinfo",), ("capabilities",)):
        told = virsh(insulad, anna, *words)
        assert told.returncode == 0, told.stderr
    assert "far" in virsh(insulad, anna, "list", "--all", "--name").stdout.split()
    assert virsh(insulad, anna, "event", "--list").returncode == 0
    refused = virsh(insulad, anna, "lxc-enter-namespace", "far", "--", "/bin/true")
    assert refused.returncode, "descriptors cannot come from afar"
    assert virsh(insulad, anna, "undefine", "far").returncode == 0


def test_who_is_not_known_does_not_come_in_and_the_log_says_why(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path
) -> None:
    stranger = Authority(scratch / "others", "others").issue("client", "/O=Insula/CN=anna", scratch / "stranger")
    shutil.copy(authority.certificate, stranger / "cacert.pem")
    late = authority.issue("client", "/O=Insula/CN=late", scratch / "late", dates=PAST)
    wrong = authority.issue("server", "/O=Insula/CN=wrong", scratch / "wrong")
    for each in ("key", "cert"):
        (wrong / f"server{each}.pem").rename(wrong / f"client{each}.pem")
    nameless = scratch / "nameless"
    nameless.mkdir()
    shutil.copy(authority.certificate, nameless / "cacert.pem")

    for identity in (stranger, late, wrong, nameless):
        refused = virsh(insulad, identity, "uri")
        assert refused.returncode and "error:" in refused.stderr, identity.name
    assert "somebody from 127.0.0.1 did not come in by TLS" in insulad.log_text()
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    assert virsh(insulad, anna, "uri").returncode == 0


def test_certificates_that_are_taken_back_and_names_that_are_not_listed_stop_at_a_reload(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path
) -> None:
    anna, eve = (authority.issue("client", f"/O=Insula/CN={each}", scratch / each) for each in ("anna", "eve"))
    assert virsh(insulad, eve, "uri").returncode == virsh(insulad, anna, "uri").returncode == 0

    authority.revoke(eve / "clientcert.pem")
    authority.revocations(serving / "revoked.pem")
    insulad.reload()
    assert virsh(insulad, eve, "uri").returncode and virsh(insulad, anna, "uri").returncode == 0

    configure(insulad, serving, 'tls_allowed_dn_list = ["O=Insula,CN=b*", "O=*,CN=bert?"]\n')
    insulad.reload()
    assert virsh(insulad, anna, "uri").returncode
    configure(insulad, serving, 'tls_allowed_dn_list = ["O=Insula,CN=a*"]\n')
    insulad.reload()
    assert virsh(insulad, anna, "uri").returncode == 0


def test_files_that_cannot_be_used_leave_everything_as_it_was(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path
) -> None:
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    good = (serving / "servercert.pem").read_bytes()
    (serving / "servercert.pem").write_text("no certificate")
    insulad.reload("the settings stay as they were")
    assert virsh(insulad, anna, "uri").returncode == 0

    (serving / "servercert.pem").write_bytes(good)
    (serving / "serverkey.pem").chmod(0o644)
    insulad.reload("everybody may read the key")
    assert virsh(insulad, anna, "uri").returncode == 0
    (serving / "serverkey.pem").chmod(0o600)
    insulad.reload()
    assert virsh(insulad, anna, "uri").returncode == 0


@contextlib.contextmanager
def connected(insulad: Insulad) -> Iterator[socket.socket]:
    with insulad.host.network():
        client = socket.create_connection(("127.0.0.1", PORT), timeout=patience(30))
    with client:
        yield client


def is_hung_up(client: socket.socket, seconds: float) -> bool:
    client.settimeout(scaled(seconds))
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        return True
    return True


def test_half_handshakes_nonsense_and_crowds_are_hung_up_on_and_others_are_served(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path
) -> None:
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    with contextlib.ExitStack() as clients:
        silent = [clients.enter_context(connected(insulad)) for _ in range(5)]
        silent[1].sendall(b"\x16\x03\x01\x02\x00")  # a record of which nothing follows
        crowd = [clients.enter_context(connected(insulad)) for _ in range(30)]
        for each in crowd:
            assert is_hung_up(each, 30), "an address has a quarter of the places of those who are not known"
        assert insulad.virsh("uri").returncode == 0, "local clients do not wait for those"
        for each in silent:
            assert is_hung_up(each, 60), "a handshake has a deadline"
        nonsense = clients.enter_context(connected(insulad))
        nonsense.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(4096))
        assert is_hung_up(nonsense, 30)
    assert virsh(insulad, anna, "uri").returncode == 0


def test_answers_larger_than_a_record_come_whole(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path, busybox_root: Path
) -> None:
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    definition = scratch / "definition.xml"
    definition.write_text(domain_xml("large", busybox_root))
    insulad.virsh("define", str(definition))
    insulad.virsh("desc", "large", "--config", "x" * 100_000)
    assert "x" * 100_000 in virsh(insulad, anna, "dumpxml", "large").stdout
    insulad.virsh("undefine", "large")


def test_a_name_is_written_as_libvirts_own_tool_writes_it(authority: Authority, scratch: Path) -> None:
    identity = authority.issue("client", "/C=GB/O=Insula, Ltd/OU=Far/CN=anna\\+bert", scratch / "names")
    told = subprocess.run(
        ["virt-pki-query-dn", str(identity / "clientcert.pem")],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(60),
    )
    decoded = ssl._ssl._test_decode_cert(str(identity / "clientcert.pem"))  # type: ignore[attr-defined]
    assert name_of(decoded) in told.stdout


def test_our_own_program_and_library_come_by_tls_too(
    insulad: Insulad, serving: Path, authority: Authority, scratch: Path, busybox_root: Path
) -> None:
    anna = authority.issue("client", "/O=Insula/CN=anna", scratch / "anna")
    definition = scratch / "definition.xml"
    definition.write_text(domain_xml("far", busybox_root))
    insulad.virsh("define", str(definition))
    where = f"lxc+tls://127.0.0.1/system?pkipath={anna}"
    program = (sys.executable, "-m", "insula")
    assert "far" in insulad.host.run(*program, "--connect", where, "ls", "--all", "--quiet").stdout.split()
    environment = {**os.environ, "INSULA_DEFAULT_URI": where}
    environment.pop("INSULA_PREFIX", None)
    assert "far" in insulad.host.run(*program, "xml", "far", env=environment).stdout

    refused = insulad.host.run(*program, "-c", where, "exec", "far", "--", "true", check=False)
    assert refused.returncode == 125 and "passes open files" in refused.stderr
    unknown = Authority(scratch / "others", "others").issue("client", "/CN=eve", scratch / "eve")
    refused = insulad.host.run(*program, "-c", f"lxc://127.0.0.1/system?pkipath={unknown}", "ls", check=False)
    assert refused.returncode == 5 and "do not know each other by certificates" in refused.stderr

    assert insulad.host.inside(lambda: seen_by_both_faces(where)) == ["far"]
    insulad.virsh("undefine", "far")
