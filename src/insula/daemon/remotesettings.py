"""How clients come from other machines, and how they prove who they are: what the settings may say of it.

Keys are called as libvirt's own daemons call them.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from insula.daemon.settingkeys import FILE, NAMES, TRUTH, SettingKey, one_of, whole
from insula.layout import Layout

TCP_PORT = 16509


class Authenticating(Enum):
    """What a client is asked for, beside what lets it connect: its socket's mode, or its certificate."""

    NONE = "none"
    POLKIT = "polkit"
    SASL = "sasl"


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsSettings:
    """How clients come from other machines. The files are where libvirt's daemons have theirs.

    address: empty for all of the host's; revocations_optional: whether that file may be missing; allowed_names:
    patterns, none for whoever the authority knows; auth: what is asked for beside the certificate.
    """

    listen: bool = False
    address: str = ""
    port: int = 16514
    authority: Path = Path("/etc/pki/CA/cacert.pem")
    revocations: Path = Path("/etc/pki/CA/cacrl.pem")
    revocations_optional: bool = True
    certificate: Path = Path("/etc/pki/libvirt/servercert.pem")
    key: Path = Path("/etc/pki/libvirt/private/serverkey.pem")
    allowed_names: tuple[str, ...] = ()
    minimum: str = "1.2"
    auth: Authenticating = Authenticating.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class TcpSettings:
    """How clients come without TLS. address: empty for all of the host's."""

    listen: bool = False
    address: str = ""
    port: int = TCP_PORT
    auth: Authenticating = Authenticating.SASL


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslSettings:
    """How clients prove who they are by SASL.

    credentials: what is kept of passwords; keytab: our key in a Kerberos realm, None for no such; allowed_users:
    patterns of whom they may prove to be, none for anybody.
    """

    credentials: Path = Path("/etc/insula/sasl-users")
    keytab: Path | None = None
    allowed_users: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteSettings:
    """All of it."""

    tls: TlsSettings = field(default_factory=TlsSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    sasl: SaslSettings = field(default_factory=SaslSettings)


REMOTE_KEYS: Mapping[str, tuple[str, SettingKey]] = {
    "listen_tls": ("tls.listen", TRUTH),
    "listen_tcp": ("tcp.listen", TRUTH),
    "listen_addr": ("tls.address", SettingKey(accepts=lambda value: isinstance(value, str), wanted="an address here")),
    "tls_port": ("tls.port", whole(1, 65535)),
    "tcp_port": ("tcp.port", whole(1, 65535)),
    "ca_file": ("tls.authority", FILE),
    "crl_file": ("tls.revocations", FILE),
    "cert_file": ("tls.certificate", FILE),
    "key_file": ("tls.key", FILE),
    "tls_allowed_dn_list": ("tls.allowed_names", NAMES),
    "tls_min_version": ("tls.minimum", one_of("1.2", "1.3")),
    "tls_no_verify_certificate": ("", TRUTH),
    "auth_tls": ("tls.auth", one_of("none", "sasl")),
    "auth_tcp": ("tcp.auth", one_of("sasl", "none")),
    "sasl_allowed_username_list": ("sasl.allowed_users", NAMES),
    "sasl_credentials": ("sasl.credentials", FILE),
    "sasl_keytab": ("sasl.keytab", FILE),
}
"""What each sets, empty for what is always so."""


def remote_settings(document: Mapping[str, Any], layout: Layout) -> RemoteSettings:
    """Return what the keys say, each acceptable by itself. Raises: ValueError in words if not together."""
    if document.get("tls_no_verify_certificate"):
        raise ValueError(
            "whoever connects without a certificate is nobody: 'tls_no_verify_certificate' must be false",
            "tls_no_verify_certificate",
        )
    fields: dict[str, dict[str, Any]] = {
        "tls": {"revocations_optional": "crl_file" not in document},
        "tcp": {"address": document.get("listen_addr", "")},
        "sasl": {"credentials": layout.settings.with_name("sasl-users")},
    }
    for key, (place, wanted) in REMOTE_KEYS.items():
        if place and key in document:
            table, _, name = place.partition(".")
            fields[table][name] = _valued(name, wanted, document[key])
    remote = RemoteSettings(
        tls=TlsSettings(**fields["tls"]), tcp=TcpSettings(**fields["tcp"]), sasl=SaslSettings(**fields["sasl"])
    )
    _check_tcp(remote)
    return remote


def _valued(name: str, wanted: SettingKey, value: Any) -> Any:
    if name == "auth":
        return Authenticating(value)
    if wanted is FILE:
        return Path(value)
    return tuple(value) if wanted is NAMES else value


def _check_tcp(remote: RemoteSettings) -> None:
    """Raises: ValueError for a TCP port by which anybody could listen, or come in, from another machine."""
    tcp = remote.tcp
    if not tcp.listen:
        return
    if tcp.auth is Authenticating.NONE and not _is_this_host(tcp.address):
        raise ValueError(
            "without authentication TCP is for this host alone: 'listen_addr' must be 127.0.0.1 or ::1, or 'auth_tcp' "
            'must be "sasl"',
            "auth_tcp" if tcp.address == "" else "listen_addr",
        )
    if tcp.auth is Authenticating.SASL and remote.sasl.keytab is None:
        raise ValueError(
            "TCP without TLS is encrypted by Kerberos or not at all: give 'sasl_keytab', or set 'listen_tls', which "
            "passwords need",
            "listen_tcp",
        )


def _is_this_host(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
