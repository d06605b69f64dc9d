"""How domains start beside others: which calls, and what is made of their answers."""

from typing import Any

import pytest

from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk import bootverbs
from insula.sdk.conversation import Answer, Conversation

WEB = DomainRef("web", bytes(16), 1)


@pytest.mark.parametrize(
    ("conversation", "procedure", "arguments", "results", "outcome"),
    [
        (bootverbs.autostart(WEB), Remote.DOMAIN_GET_AUTOSTART, (WEB,), (1,), True),
        (bootverbs.set_autostart(WEB, wanted=True), Remote.DOMAIN_SET_AUTOSTART, (WEB, True), (), None),
        (bootverbs.autostart_once(WEB), Remote.DOMAIN_GET_AUTOSTART_ONCE, (WEB,), (0,), False),
        (bootverbs.set_autostart_once(WEB, wanted=False), Remote.DOMAIN_SET_AUTOSTART_ONCE, (WEB, False), (), None),
        (bootverbs.start_with_dependencies(WEB), Insula.DOMAIN_START_WITH_DEPENDENCIES, (WEB, 0), (WEB,), WEB),
        (
            bootverbs.stop_order(),
            Insula.DOMAIN_STOP_ORDER,
            (0,),
            ('[["web","mail"],["db"]]',),
            [["web", "mail"], ["db"]],
        ),
    ],
)
def test_each_verb_is_one_call(
    conversation: Conversation[Any],
    procedure: Procedure,
    arguments: tuple[Any, ...],
    results: tuple[Any, ...],
    outcome: Any,
) -> None:
    request = next(conversation)
    assert (request.procedure, request.arguments) == (procedure, arguments)
    with pytest.raises(StopIteration) as done:
        conversation.send(Answer(results, (), None))
    assert done.value.value == outcome
