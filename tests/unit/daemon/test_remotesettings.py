"""How clients come from elsewhere, and how they prove who they are, as the settings have it."""

from pathlib import Path

import pytest

from insula.daemon.config import parse
from insula.daemon.remotesettings import Authenticating, RemoteSettings, SaslSettings, TcpSettings
from insula.errors import ConfigurationError
from insula.layout import Layout

LAYOUT = Layout.prefix(Path("/prefix"))


def read(text: str) -> RemoteSettings:
    return parse(text, LAYOUT).remote


def test_without_settings_nobody_comes_from_elsewhere() -> None:
    remote = read("")
    assert not remote.tls.listen and not remote.tcp.listen and remote.tls.auth is Authenticating.NONE
    assert remote.sasl.credentials == Path("/prefix/etc/insula/sasl-users")


def test_settings_have_libvirts_names() -> None:
    remote = read(
        'listen_tcp = true\ntcp_port = 7\nlisten_addr = "::1"\nauth_tcp = "sasl"\nauth_tls = "sasl"\n'
        'sasl_keytab = "/k"\nsasl_credentials = "/u"\nsasl_allowed_username_list = ["anna", "*@EXAMPLE.ORG"]\n'
    )
    assert remote.tcp == TcpSettings(listen=True, address="::1", port=7)
    assert remote.sasl == SaslSettings(
        credentials=Path("/u"), keytab=Path("/k"), allowed_users=("anna", "*@EXAMPLE.ORG")
    )
    assert remote.tls.auth is Authenticating.SASL and remote.tls.address == "::1"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
def test_on_this_host_alone_nothing_need_be_proved(address: str) -> None:
    assert read(f'listen_tcp = true\nauth_tcp = "none"\nlisten_addr = "{address}"').tcp.auth is Authenticating.NONE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('listen_tcp = true\nauth_tcp = "none"', "line 2: without authentication TCP is for this host alone"),
        ('listen_tcp = true\nauth_tcp = "none"\nlisten_addr = "0.0.0.0"', "line 3: without authentication TCP"),
        ('listen_tcp = true\nauth_tcp = "none"\nlisten_addr = "web1"', "line 3: without authentication TCP"),
        ("listen_tcp = true", "line 1: TCP without TLS is encrypted by Kerberos or not at all: give 'sasl_keytab'"),
        ('listen_tcp = true\nlisten_addr = "127.0.0.1"', "line 1: TCP without TLS is encrypted by Kerberos"),
        ('auth_tcp = "polkit"', "line 1: 'auth_tcp' must be one of sasl, none"),
        ('auth_tls = "polkit"', "line 1: 'auth_tls' must be one of none, sasl"),
        ('sasl_keytab = "k"', "line 1: 'sasl_keytab' must be an absolute path"),
        ("sasl_allowed_username_list = [1]", "line 1: 'sasl_allowed_username_list' must be a list of names"),
    ],
)  # fmt: skip
def test_what_would_let_in_anybody_or_means_nothing_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        read(text)
