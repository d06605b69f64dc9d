"""Proving by SASL who we are, as a conversation: with a password, by SCRAM. The daemon has to know us, too."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from insula.errors import AuthenticationError
from insula.rpc.procedures import Remote
from insula.rpc.scram import HASHES, ScramClient
from insula.sdk.credentials import Credentials

if TYPE_CHECKING:
    from insula.sdk.conversation import Answer, Request


def prove(credentials: Credentials) -> "Generator[Request, Answer, None]":
    """Prove it. Raises: AuthenticationError if we are refused, or the daemon is not the one that knows us."""
    from insula.sdk.conversation import ask

    offered = str((yield from ask(Remote.AUTH_SASL_INIT))).replace(",", " ").split()
    mechanism = next((each for each in HASHES if each in offered), None)
    if mechanism is None:
        raise AuthenticationError(
            f"the daemon wants SASL by {' or '.join(offered) or 'nothing'}, and this client knows {', '.join(HASHES)}"
        )
    user, password = credentials()
    client = ScramClient(mechanism, user, password)
    begun = yield from ask(Remote.AUTH_SASL_START, mechanism, 0, client.first())
    proved: Any = yield from ask(Remote.AUTH_SASL_STEP, 0, client.prove(_said(begun)))
    client.check(_said(proved))
    if not proved.complete:
        raise AuthenticationError("the daemon wants to hear more, and there is nothing more to say")


def _said(answer: Any) -> bytes:
    return b"" if answer.nil else bytes(answer.data)
