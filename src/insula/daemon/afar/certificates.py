"""Who we are to clients from afar, and whom of them we know: by X.509 certificates, as libvirt's daemons do.

A client must show a certificate that the authority signed, that has not expired and is not revoked, and neither is that
of any authority in between: each needs its own list of what it has taken back. The certificate's distinguished
name is who it is; with a list of names it must match one of them.
"""

import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

from insula.daemon.remotesettings import TlsSettings
from insula.errors import ConfigurationError

_SHORT: Final[Mapping[str, str]] = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "emailAddress": "EMAIL",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""How GnuTLS, and so libvirt's documentation and `virt-pki-query-dn`, writes the parts of a name."""


class Certificates:
    """What hands are shaken with, read from files, and again when asked."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises: ConfigurationError naming the file that cannot be used."""
        self._settings = settings
        self.context = _context(settings)

    def reload(self, settings: TlsSettings) -> None:
        """Know new certificates and names from now on. Raises: ConfigurationError: then all is as it was."""
        self.context = _context(settings)
        self._settings = settings

    def known(self, name: str) -> bool:
        """Whether a client of this name is one of those that may come."""
        allowed = self._settings.allowed_names
        return not allowed or any(matches(name, each) for each in allowed)


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if settings.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # A ticket after the handshake wakes up libvirt's client, which then finds the byte missing that it waits for.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        readable = settings.key.stat().st_mode & 0o004
    except (OSError, ValueError) as error:
        named = f"the certificate {settings.certificate} with the key {settings.key}"
        raise ConfigurationError(f"{named} cannot be used: {error}") from error
    if readable:
        raise ConfigurationError(f"everybody may read the key {settings.key}: it proves nothing then; chmod it to 0600")
    try:
        context.load_verify_locations(settings.authority)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the authority's certificate {settings.authority} cannot be used: {error}") from error
    _know_revoked(context, settings)
    return context


def _know_revoked(context: ssl.SSLContext, settings: TlsSettings) -> None:
    file = settings.revocations
    try:
        context.load_verify_locations(file)
    except FileNotFoundError as error:
        if settings.revocations_optional:
            return
        raise ConfigurationError(f"the list of revoked certificates {file} does not exist") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the list of revoked certificates {file} cannot be used: {error}") from error
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN


def name_of(certificate: Mapping[str, Any]) -> str:
    """Return the distinguished name of a verified certificate, as GnuTLS writes it: `C=GB,O=Libvirt,CN=anna`.

    certificate: as `ssl.SSLSocket.getpeercert` has it.
    """
    parts: Sequence[Sequence[tuple[str, str]]] = certificate.get("subject", ())
    return ",".join("+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in each) for each in parts)


def _escaped(value: str) -> str:
    """Source: RFC 4514, section 2.4; what could end a part, or look like another, is escaped."""
    escaped = re.sub(r'([,+"\\<>;=])', r"\\\1", value)
    escaped = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\{ord(found[0]):02X}", escaped)  # which logs must not show
    if escaped[:1] in ("#", " "):
        escaped = "\\" + escaped
    return escaped[:-1] + "\\ " if len(value) > 1 and value.endswith(" ") else escaped


def matches(name: str, pattern: str) -> bool:
    """Whether a name is what a pattern stands for, in which * is any text and ? any character, and nothing else is."""
    expression = "".join({"*": ".*", "?": "."}.get(each) or re.escape(each) for each in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None
