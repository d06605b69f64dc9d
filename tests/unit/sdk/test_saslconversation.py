"""Proving who we are, and refusing a daemon that does not know us."""

from types import SimpleNamespace
from typing import Any

import pytest

from insula.errors import AuthenticationError
from insula.rpc.procedures import Remote
from insula.rpc.scram import ScramServer, keys_of
from insula.sdk.conversation import Answer, Request
from insula.sdk.credentials import Credential
from insula.sdk.saslconversation import prove

ANNA = Credential("anna", "pencil")


def talked(mechanisms: str, password: str = "pencil", *, complete: int = 1, lie: bytes | None = None) -> list[Request]:
    """Be the daemon; return what was asked of it."""
    conversation = prove(lambda: ANNA)
    asked = [next(conversation)]
    answer: Any = (mechanisms,)
    server: ScramServer | None = None
    while True:
        try:
            request = conversation.send(Answer(answer, (), None))
        except StopIteration:
            return asked
        asked.append(request)
        if request.procedure is Remote.AUTH_SASL_START:
            mechanism, nil, data = request.arguments
            server = ScramServer(mechanism)
            assert server.named(data) == "anna" and not nil
            reply = server.ask(keys_of(mechanism, password, iterations=4096))
            answer = _Reply(complete=0, nil=0, data=reply)
        else:
            assert server is not None and request.procedure is Remote.AUTH_SASL_STEP
            said = server.judge(request.arguments[1]) if lie is None else lie
            answer = _Reply(complete=complete, nil=0, data=said)


class _Reply(SimpleNamespace):
    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize("mechanisms", ["SCRAM-SHA-512,SCRAM-SHA-256", "GSSAPI SCRAM-SHA-512", "PLAIN,SCRAM-SHA-512"])
def test_the_strongest_that_both_know_is_taken(mechanisms: str) -> None:
    init, start, step = talked(mechanisms)
    assert init.procedure is Remote.AUTH_SASL_INIT and start.arguments[0] == "SCRAM-SHA-512"
    assert b"pencil" not in start.arguments[2] + step.arguments[1]


@pytest.mark.parametrize("mechanisms", ["", "PLAIN", "GSSAPI,DIGEST-MD5"])
def test_a_password_is_never_sent(mechanisms: str) -> None:
    with pytest.raises(AuthenticationError, match="the daemon wants SASL by"):
        talked(mechanisms)


@pytest.mark.parametrize(("complete", "lie"), [(1, b"v=YQ=="), (1, b""), (0, None)])
def test_a_daemon_that_does_not_prove_itself_is_left(complete: int, lie: bytes | None) -> None:
    with pytest.raises(AuthenticationError):
        talked("SCRAM-SHA-256", complete=complete, lie=lie)
