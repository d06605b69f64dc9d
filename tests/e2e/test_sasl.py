"""Clients that prove who they are by SASL: virsh with Cyrus' SASL, our own, and strangers who guess."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.e2e.guests import domain_xml, seen_by_both_faces
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = pytest.mark.requires("virsh", "sasl.scram", "openssl")

PASSWORD = "pen cil=#1"


class SaslHost:
    """The daemon, whose settings ask for SASL, and files of credentials for its clients."""

    def __init__(self, insulad: Insulad, scratch: Path) -> None:
        self.insulad = insulad
        self._scratch = scratch
        insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
        self.users("add", "anna", said=PASSWORD)

    def users(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Change who may come, by the command that is for that."""
        program = "import sys; from insula.daemon.entry import main; sys.exit(main())"
        prefix = str(self.insulad.prefix)
        done = subprocess.run(
            [sys.executable, "-c", program, "sasl-user", "--prefix", prefix, *words],
            input=f"{said}\n", capture_output=True, text=True, check=False, timeout=patience(60),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    def configure(self, settings: str) -> None:
        self.insulad.layout.settings.write_text(settings)
        self.insulad.restart()

    def credentials(self, user: str, password: str, host: str = "localhost") -> dict[str, str]:
        """The environment of a client that has these."""
        file = self._scratch / f"auth-{user}-{len(password)}-{host}.conf"
        file.write_text(
            f"[credentials-x]\nauthname={user}\npassword={password}\n[auth-libvirt-{host}]\ncredentials=x\n"
        )
        return {**os.environ, "LC_ALL": "C", "LIBVIRT_AUTH_FILE": str(file)}

    def virsh(self, environment: dict[str, str], *words: str, uri: str = "") -> subprocess.CompletedProcess[str]:
        return self.insulad.host.run(
            "virsh", "-c", uri or self.insulad.uri, *words,
            check=False, stdin=subprocess.DEVNULL, env=environment, timeout=patience(90),
        )  # fmt: skip


@pytest.fixture
def sasl(insulad: Insulad, scratch: Path) -> Iterator[SaslHost]:
    insulad.host.run("ip", "link", "set", "lo", "up")
    yield SaslHost(insulad, scratch)
    insulad.stop()
    insulad.layout.settings.unlink()
    insulad.start()


@pytest.fixture
def tls(sasl: SaslHost, scratch: Path) -> Path:
    """Settings for TLS with SASL on top; the directory of a client's certificate."""
    authority = Authority(scratch / "authority")
    server = authority.issue("server", "/O=Insula/CN=localhost", scratch / "server")
    sasl.configure(
        f'listen_tls = true\nauth_tls = "sasl"\nca_file = "{server}/cacert.pem"\n'
        f'cert_file = "{server}/servercert.pem"\nkey_file = "{server}/serverkey.pem"\n'
    )
    return authority.issue("client", "/O=Insula/CN=machine", scratch / "machine")


def test_virsh_comes_in_with_a_password_on_this_host(sasl: SaslHost, scratch: Path, busybox_root: Path) -> None:
    sasl.configure('auth_unix_rw = "sasl"\n')
    assert sasl.insulad.socket.stat().st_mode & 0o777 == 0o666, "who proves who they are must be able to connect"
    anna = sasl.credentials("anna", PASSWORD)
    definition = scratch / "definition.xml"
    definition.write_text(domain_xml("near", busybox_root))
    for words in (("define", str(definition)), ("dumpxml", "near"), ("list", "--all"), ("undefine", "near")):
        told = sasl.virsh(anna, *words)
        assert told.returncode == 0, told.stderr
    assert sasl.virsh(anna, "uri", uri=sasl.insulad.uri_read_only).returncode == 0, "that asks for nothing"


@pytest.mark.parametrize(("user", "password"), [("anna", "guess"), ("eve", PASSWORD)])
def test_who_guesses_a_password_or_a_user_hears_the_same(sasl: SaslHost, user: str, password: str) -> None:
    sasl.configure('auth_unix_rw = "sasl"\n')
    refused = sasl.virsh(sasl.credentials(user, password), "uri")
    assert refused.returncode == 1
    assert "authentication failed: who you are is not proved, or you may not come" in refused.stderr
    assert f"did not prove to be '{user}' by 'SCRAM-SHA-512'" in sasl.insulad.log_text()
    nothing = sasl.virsh({**os.environ, "LC_ALL": "C", "LIBVIRT_AUTH_FILE": "/dev/null"}, "uri")
    assert nothing.returncode == 1 and "error:" in nothing.stderr


def test_users_come_and_go_without_a_restart(sasl: SaslHost) -> None:
    sasl.configure('auth_unix_rw = "sasl"\nsasl_allowed_username_list = ["a*", "bert"]\n')
    bert = sasl.credentials("bert", "brush")
    assert sasl.virsh(bert, "uri").returncode
    sasl.users("add", "bert", said="brush")
    sasl.users("add", "carl", said="chalk")
    assert sasl.virsh(bert, "uri").returncode == 0
    assert sasl.virsh(sasl.credentials("carl", "chalk"), "uri").returncode, "he is not on the list"
    sasl.users("remove", "bert")
    assert sasl.virsh(bert, "uri").returncode
    assert sasl.users("list").stdout.split() == ["anna", "carl"]


def test_over_tls_a_certificate_lets_connect_and_a_password_lets_in(sasl: SaslHost, tls: Path, scratch: Path) -> None:
    uri = f"lxc+tls://127.0.0.1/system?pkipath={tls}"
    assert sasl.virsh(sasl.credentials("anna", PASSWORD, "127.0.0.1"), "list", uri=uri).returncode == 0
    refused = sasl.virsh(sasl.credentials("anna", "guess", "127.0.0.1"), "list", uri=uri)
    assert refused.returncode == 1 and "authentication failed" in refused.stderr
    assert "O=Insula,CN=machine from 127.0.0.1) did not prove to be 'anna'" in sasl.insulad.log_text()
    stranger = Authority(scratch / "others", "others").issue("client", "/CN=machine", scratch / "stranger")
    uri = f"lxc+tls://127.0.0.1/system?pkipath={stranger}"
    assert sasl.virsh(sasl.credentials("anna", PASSWORD, "127.0.0.1"), "list", uri=uri).returncode, "it takes both"


def test_our_own_program_and_library_prove_who_they_are_too(
    sasl: SaslHost, tls: Path, busybox_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sasl.insulad.define(domain_xml("far", busybox_root))
    where = f"lxc+tls://anna@127.0.0.1/system?pkipath={tls}"
    program = (sys.executable, "-m", "insula", "--connect")
    right, wrong = (sasl.credentials("anna", each, "127.0.0.1") for each in (PASSWORD, "guess"))
    assert "far" in sasl.insulad.host.run(*program, where, "ls", "--all", "--quiet", env=right).stdout.split()
    refused = sasl.insulad.host.run(*program, where, "ls", env=wrong, check=False)
    assert refused.returncode == 5 and "who you are is not proved" in refused.stderr
    other = where.replace("anna@", "eve@")
    refused = sasl.insulad.host.run(*program, other, "ls", env=right, check=False, stdin=subprocess.DEVNULL)
    assert refused.returncode == 5 and "password of eve is not known" in refused.stderr

    monkeypatch.setenv("LIBVIRT_AUTH_FILE", right["LIBVIRT_AUTH_FILE"])

    assert sasl.insulad.host.inside(lambda: seen_by_both_faces(where)) == ["far"]
    sasl.insulad.virsh("undefine", "far")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ('auth_unix_rw = "sasl"\nsasl_credentials = "/nowhere/users"\n', "there is no file /nowhere/users of users"),
        ("listen_tcp = true\n", "TCP without TLS is encrypted by Kerberos or not at all"),
        ('listen_tcp = true\nauth_tcp = "none"\n', "without authentication TCP is for this host alone"),
        ('auth_unix_ro = "sasl"\n', "others than its owner may use"),
    ],
)
def test_a_daemon_that_could_not_keep_anybody_out_does_not_start(sasl: SaslHost, settings: str, complaint: str) -> None:
    users = sasl.insulad.layout.settings.with_name("sasl-users")
    users.chmod(0o640)
    sasl.insulad.stop()
    sasl.insulad.layout.settings.write_text(settings)
    with pytest.raises(AssertionError, match="ended with 2"):
        sasl.insulad.start()
    assert complaint in sasl.insulad.log_text()
    users.chmod(0o600)
    sasl.insulad.process = None
    sasl.insulad.layout.settings.write_text("")
    sasl.insulad.start()


def test_tcp_on_this_host_alone_may_ask_for_nothing(sasl: SaslHost) -> None:
    sasl.configure('listen_tcp = true\nauth_tcp = "none"\nlisten_addr = "127.0.0.1"\n')
    told = sasl.virsh({**os.environ, "LC_ALL": "C"}, "list", "--all", uri="lxc+tcp://127.0.0.1/system")
    assert told.returncode == 0, told.stderr
    assert "127.0.0.1:16509 (TCP)" in sasl.insulad.log_text()
