"""Conversations: requests out, answers in, one outcome."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from insula.errors import AuthenticationError, InternalError
from insula.rpc.procedures import Remote
from insula.sdk.conversation import Acquaintance, Answer, Conversation, Request, T, ask, ask_for, greet, only
from insula.sdk.credentials import Credential

if TYPE_CHECKING:
    from insula.sdk.tcpsocket import TcpSocket


def driven(conversation: Conversation[T], answers: list[tuple[Any, ...]]) -> tuple[T, list[Request]]:
    """Have a conversation with these answers; return its outcome and what it asked."""
    asked = [next(conversation)]
    try:
        for values in answers:
            made = asked[-1].procedure.results.make(*values)
            asked.append(conversation.send(Answer(made, (), None)))
    except StopIteration as stop:
        return stop.value, asked
    raise AssertionError(f"the conversation goes on with {asked[-1]}")


def test_the_only_result_comes_bare_several_together_and_none_as_none() -> None:
    assert only(Remote.AUTH_LIST.results.make((0,))) == (0,)
    assert only(Remote.CONNECT_CLOSE.results.make()) is None
    assert only(Remote.DOMAIN_GET_STATE.results.make(1, 2)).reason == 2


def test_asking_yields_the_request_and_returns_the_result() -> None:
    outcome, asked = driven(ask(Remote.DOMAIN_LOOKUP_BY_ID, id=7), [("web",)])
    assert outcome == "web"
    assert asked == [Request(Remote.DOMAIN_LOOKUP_BY_ID, (7,))]


def test_an_answer_of_another_kind_than_expected_is_our_own_mistake() -> None:
    with pytest.raises(InternalError, match="int"):
        driven(ask_for(str, Remote.CONNECT_GET_VERSION), [(5,)])


def test_a_client_greets_by_authenticating_and_opening() -> None:
    _, asked = driven(greet(read_only=False), [((0,),), ()])
    assert asked == [Request(Remote.AUTH_LIST, ()), Request(Remote.CONNECT_OPEN, ("lxc:///system", 0))]


def test_a_read_only_client_says_so() -> None:
    _, asked = driven(greet(read_only=True), [((0,),), ()])
    assert asked[-1].arguments == ("lxc:///system", 1)


def test_polkit_is_asked_for_where_the_daemon_wants_it() -> None:
    _, asked = driven(greet(read_only=False), [((2,),), (1,), ()])
    assert [request.procedure for request in asked] == [Remote.AUTH_LIST, Remote.AUTH_POLKIT, Remote.CONNECT_OPEN]


def test_a_daemon_that_wants_what_we_have_never_heard_of_is_beyond_us() -> None:
    with pytest.raises(AuthenticationError, match="kind 9"):
        driven(greet(read_only=False), [((9,),)])


def test_by_tcp_nothing_is_said_in_the_clear_to_a_daemon_that_asks_for_nothing() -> None:
    """Whoever is between the two could say so."""
    tcp = cast("TcpSocket", SimpleNamespace(is_private=False))
    acquaintance = Acquaintance(lambda: Credential("anna", "pencil"), "web1", tcp)
    with pytest.raises(AuthenticationError, match="web1 asks for no ticket of Kerberos"):
        driven(greet(read_only=False, acquaintance=acquaintance), [((0,),)])
    here = acquaintance._replace(tcp=cast("TcpSocket", SimpleNamespace(is_private=True)))
    _, asked = driven(greet(read_only=False, acquaintance=here), [((0,),), ()])
    assert len(asked) == 2
