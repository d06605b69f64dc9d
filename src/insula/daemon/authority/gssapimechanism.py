"""Kerberos, by GSSAPI: a ticket for the service libvirt on this host proves who somebody is, and encrypts if asked to.

    client                                   server
    ticket                         ─────►
                        ◄─────               our own proof
    nothing                        ─────►
                        ◄─────               wrapped: which layers there are, how much we take at once
    wrapped: which layer, how much ─────►    from here on all is wrapped, if that is the layer
    the client takes at once, as whom

Needs python3-gssapi. Source: RFC 4752; its three layers are numbers 1 (none), 2 (integrity), 4 (confidentiality).
"""

import struct
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from insula.daemon.authority.saslmechanism import SaslAnswer
from insula.daemon.authority.secretfiles import check_secrecy
from insula.engine.threads import in_own_thread
from insula.errors import AuthenticationError, ConfigurationError
from insula.rpc.wrapping import WRAPPED_MAX, KerberosLayer, SecurityLayer

NAME: Final = "GSSAPI"
SERVICE: Final = "libvirt/"
STRENGTH_MIN: Final = 112
"""Bits of the key that encrypts; what libvirt's own daemon wants of it."""
_NO_LAYER: Final = 1
_CONFIDENTIALITY: Final = 4
_OFFER: Final = struct.Struct(">I")
"""A byte with the layers, three with the size."""
_MESSAGE_MAX: Final = 64 * 1024
_SASL_STRENGTH: Final = "1.2.840.113554.1.2.2.5.15"
"""What MIT's Kerberos tells the strength of its keys by."""


class Kerberos:
    """Our key in a realm."""

    def __init__(self, keytab: Path) -> None:
        """Raises: ConfigurationError for a key that cannot be used, or without python3-gssapi."""
        try:
            self._gssapi: Any = import_module("gssapi")
        except ImportError as error:
            raise ConfigurationError(
                f"sasl_keytab needs Python's gssapi (Debian: python3-gssapi, elsewhere: insula[sasl]): {error}"
            ) from error
        self._keytab = keytab
        try:
            self.credentials()
        except (OSError, self._gssapi.exceptions.GSSError) as error:
            raise ConfigurationError(f"the key of Kerberos {keytab} cannot be used: {error}") from error

    def credentials(self) -> Any:
        """Return what accepts tickets by the key as it is now.

        Raises: ConfigurationError for a key that others can use; OSError, GSSError for none.
        """
        check_secrecy(self._keytab, self._keytab.stat(), "key of Kerberos")
        return self._gssapi.Credentials(usage="accept", store={"keytab": f"FILE:{self._keytab}"})

    def context(self) -> Any:
        """Return a conversation that has not begun."""
        return self._gssapi.SecurityContext(creds=self.credentials(), usage="accept")

    @property
    def refusal(self) -> type[Exception]:
        """What the library raises."""
        found: type[Exception] = self._gssapi.exceptions.GSSError
        return found

    def strength(self, context: Any) -> int:
        """Return the bits of the key, 0 if it is not known."""
        try:
            told = self._gssapi.raw.inquire_sec_context_by_oid(context, self._gssapi.OID.from_int_seq(_SASL_STRENGTH))
        except (self._gssapi.exceptions.GSSError, AttributeError):
            return 0
        return int.from_bytes(told[0], "big") if told else 0


class GssapiMechanism:
    """One client's. secure: whether something else encrypts the connection, so that this must not."""

    def __init__(self, kerberos: Kerberos, *, secure: bool) -> None:
        self.user = ""
        self.layer: SecurityLayer | None = None
        self._kerberos = kerberos
        self._offered = _NO_LAYER if secure else _CONFIDENTIALITY
        self._context: Any = None
        self._has_offered = False

    async def step(self, data: bytes | None) -> SaslAnswer:
        """See `SaslMechanism`. Whether a ticket was used before stands on the disk, so a thread looks."""
        return await in_own_thread(lambda: self._stepped(data))

    def _stepped(self, data: bytes | None) -> SaslAnswer:
        if data is not None and len(data) > _MESSAGE_MAX:
            raise AuthenticationError("a message that is too long")
        try:
            if self._context is None:
                if not data:
                    raise AuthenticationError("the ticket is missing")
                self._context = self._kerberos.context()
            if not self._context.complete:
                return self._accepted(data or b"")
            if not self._has_offered:
                return self._offer()
            return self._agreed(data or b"")
        except self._kerberos.refusal as error:
            raise AuthenticationError(str(error)) from error

    def _accepted(self, token: bytes) -> SaslAnswer:
        proof = self._context.step(token)
        if self._context.complete:
            self._check()
        elif not proof:
            raise AuthenticationError("Kerberos wants to hear more and does not say what")
        return SaslAnswer(data=proof) if proof else self._offer()

    def _check(self) -> None:
        self.user = str(self._context.initiator_name)
        if not str(self._context.target_name).startswith(SERVICE):
            raise AuthenticationError(f"the ticket is for {self._context.target_name}, not for {SERVICE}")
        if self._offered == _CONFIDENTIALITY and (strength := self._kerberos.strength(self._context)) < STRENGTH_MIN:
            raise AuthenticationError(f"a key of {strength} bits encrypts, and {STRENGTH_MIN} are wanted")

    def _offer(self) -> SaslAnswer:
        size = WRAPPED_MAX if self._offered == _CONFIDENTIALITY else 0
        told = self._context.wrap(_OFFER.pack(self._offered << 24 | size), False).message
        self._has_offered = True
        return SaslAnswer(data=bytes(told))

    def _agreed(self, data: bytes) -> SaslAnswer:
        said = bytes(self._context.unwrap(data).message)
        if len(said) < _OFFER.size:
            raise AuthenticationError("a choice of layers that is too short")
        (chosen,) = _OFFER.unpack_from(said)
        layer, size = chosen >> 24, chosen & 0xFFFFFF
        if layer != self._offered:
            raise AuthenticationError(f"it chose layer {layer}, and {self._offered} was offered")
        acting = said[_OFFER.size :].rstrip(b"\0").decode(errors="replace")
        if acting not in ("", self.user, self.user.rpartition("@")[0]):
            raise AuthenticationError("to act as another user than the one who proves it is not possible")
        if layer == _CONFIDENTIALITY:
            piece = int(self._context.get_wrap_size_limit(min(size, WRAPPED_MAX), True))
            if piece < 1:
                raise AuthenticationError(f"it takes {size} bytes at once, which is too little")
            self.layer = KerberosLayer(self._context, piece, self._kerberos.refusal)
        return SaslAnswer(data=None, complete=True)
