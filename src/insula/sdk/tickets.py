"""Proving by a ticket of Kerberos who we are, as GSSAPI does it in SASL, and what the ticket then encrypts.

    client                                   daemon
    ticket                         ─────►
                        ◄─────               its own proof
    nothing                        ─────►
                        ◄─────               wrapped: which layers there are, how much it takes at once
    wrapped: which layer, how much ─────►    from here on all is wrapped, if that is the layer

Needs python3-gssapi. Source: RFC 4752; its layers are numbers 1 (none) and 4 (confidentiality).
"""

import struct
from importlib import import_module
from typing import Any, Final

from insula.errors import AuthenticationError, AuthenticationUnavailableError
from insula.rpc.wrapping import WRAPPED_MAX, KerberosLayer, SecurityLayer

GSSAPI: Final = "GSSAPI"
SERVICE: Final = "libvirt"
_NO_LAYER: Final = 1
_CONFIDENTIALITY: Final = 4
_CHOICE: Final = struct.Struct(">I")
"""A byte with the layer, three with the size."""


class TicketProof:
    """One conversation's. host: of the service, as the address has it; encrypts: whether its key is to encrypt."""

    def __init__(self, host: str, *, encrypts: bool) -> None:
        """Raises: AuthenticationUnavailableError without python3-gssapi."""
        try:
            self._gssapi: Any = import_module("gssapi")
        except ImportError as error:
            raise AuthenticationUnavailableError(
                "the daemon wants a ticket of Kerberos, which needs Python's gssapi (Debian: python3-gssapi, "
                f"elsewhere: insula[sasl]): {error}"
            ) from error
        self.layer: SecurityLayer | None = None
        self.complete = False
        self._host = host
        self._encrypts = encrypts
        self._context: Any = None

    def first(self) -> bytes:
        """Return the ticket. Raises: AuthenticationError if there is none."""
        library = self._gssapi
        wanted = [library.RequirementFlag.mutual_authentication, library.RequirementFlag.integrity]
        if self._encrypts:
            wanted.append(library.RequirementFlag.confidentiality)
        try:
            name = library.Name(f"{SERVICE}@{self._host}", library.NameType.hostbased_service)
            self._context = library.SecurityContext(name=name, usage="initiate", flags=wanted)
            return bytes(self._context.step() or b"")
        except library.exceptions.GSSError as error:
            raise AuthenticationError(
                f"there is no ticket of Kerberos for {SERVICE}/{self._host} (kinit gets one): {error}"
            ) from error

    def answer(self, said: bytes) -> bytes:
        """Return what is to be said to what the daemon said. Raises: AuthenticationError if it is not the one."""
        try:
            if not self._context.complete:
                return bytes(self._context.step(said) or b"")
            return self._choice(bytes(self._context.unwrap(said).message))
        except self._gssapi.exceptions.GSSError as error:
            raise AuthenticationError(
                f"{self._host} does not prove that it is {SERVICE}/{self._host}: {error}"
            ) from error

    def _choice(self, offered: bytes) -> bytes:
        if self.complete or len(offered) < _CHOICE.size:
            raise AuthenticationError("the daemon offers no layers that make sense")
        (offer,) = _CHOICE.unpack_from(offered)
        layers, size = offer >> 24, offer & 0xFFFFFF
        layer = _CONFIDENTIALITY if self._encrypts else _NO_LAYER
        if not layers & layer:
            raise AuthenticationError(
                "the daemon would not encrypt"
                if self._encrypts
                else "the daemon would encrypt what is encrypted already"
            )
        if not self._gssapi.RequirementFlag.mutual_authentication & self._context.actual_flags:
            raise AuthenticationError(f"{self._host} has not proved who it is")
        if self._encrypts:
            piece = int(self._context.get_wrap_size_limit(min(size, WRAPPED_MAX), True))
            if piece < 1:
                raise AuthenticationError(f"the daemon takes {size} bytes at once, which is too little")
            self.layer = KerberosLayer(self._context, piece, self._gssapi.exceptions.GSSError)
        taken = WRAPPED_MAX if self._encrypts else 0
        self.complete = True
        return bytes(self._context.wrap(_CHOICE.pack(layer << 24 | taken), False).message)
