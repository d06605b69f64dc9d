"""Proving by SASL who we are, as a conversation: with a password, by SCRAM, or with a ticket of Kerberos.

The daemon has to know us, too.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from insula.errors import AuthenticationError
from insula.rpc.procedures import Remote
from insula.rpc.scram import HASHES, ScramClient
from insula.sdk.tickets import GSSAPI, TicketProof

if TYPE_CHECKING:
    from insula.sdk.conversation import Acquaintance, Answer, Request
    from insula.sdk.credentials import Credentials


def prove(acquaintance: "Acquaintance") -> "Generator[Request, Answer, None]":
    """Prove it: by what encrypts where nothing else does.

    Raises: AuthenticationError if we are refused, or the daemon is not the one that knows us;
    AuthenticationUnavailableError for what this host has no library for.
    """
    from insula.sdk.conversation import ask

    offered = str((yield from ask(Remote.AUTH_SASL_INIT))).replace(",", " ").split()
    password = next((each for each in HASHES if each in offered), None)
    if GSSAPI in offered and (acquaintance.tcp is not None or password is None):
        yield from _by_ticket(acquaintance)
    elif password is not None and acquaintance.tcp is None:
        yield from _by_password(password, acquaintance.credentials)
    else:
        known = [GSSAPI] if acquaintance.tcp is not None else [*HASHES, GSSAPI]
        raise AuthenticationError(
            f"the daemon wants SASL by {' or '.join(offered) or 'nothing'}, "
            f"and here this client knows {', '.join(known)}"
        )


def _by_password(mechanism: str, credentials: "Credentials") -> "Generator[Request, Answer, None]":
    from insula.sdk.conversation import ask

    user, password = credentials()
    client = ScramClient(mechanism, user, password)
    begun = yield from ask(Remote.AUTH_SASL_START, mechanism, 0, client.first())
    proved: Any = yield from ask(Remote.AUTH_SASL_STEP, 0, client.prove(_said(begun)))
    client.check(_said(proved))
    if not proved.complete:
        raise AuthenticationError("the daemon wants to hear more, and there is nothing more to say")


def _by_ticket(acquaintance: "Acquaintance") -> "Generator[Request, Answer, None]":
    from insula.sdk.conversation import ask

    proof = TicketProof(acquaintance.host, encrypts=acquaintance.tcp is not None)
    told: Any = yield from ask(Remote.AUTH_SASL_START, GSSAPI, 0, proof.first())
    while not told.complete:
        told = yield from ask(Remote.AUTH_SASL_STEP, 0, proof.answer(_said(told)))
    if not proof.complete:
        raise AuthenticationError("the daemon lets us in before it has proved who it is")
    if acquaintance.tcp is not None and proof.layer is not None:
        acquaintance.tcp.protect(proof.layer)


def _said(answer: Any) -> bytes:
    return b"" if answer.nil else bytes(answer.data)
