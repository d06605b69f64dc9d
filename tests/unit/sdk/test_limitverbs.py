import pytest

from insula.model.numbers import Affect, ParameterType
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk import limitverbs
from insula.sdk.conversation import Conversation

WEB = DomainRef("web", bytes(16), 1)


@pytest.mark.parametrize(
    ("conversation", "procedure", "arguments"),
    [
        (
            limitverbs.set_maximum_memory(WEB, 1024, Affect.CONFIG),
            Remote.DOMAIN_SET_MEMORY_FLAGS,
            (WEB, 1024, 6),
        ),
        (
            limitverbs.set_scheduling(WEB, {"vcpu_quota": -1}),
            Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS,
            (WEB, [("vcpu_quota", ParameterType.LLONG, -1)], 0),
        ),
        (
            limitverbs.set_block_tuning(WEB, {"weight": 500}, Affect.LIVE),
            Remote.DOMAIN_SET_BLKIO_PARAMETERS,
            (WEB, [("weight", ParameterType.UINT, 500)], 1),
        ),
    ],
    ids=["memory", "scheduling", "blocks"],
)
def test_a_verb_asks_what_libvirts_clients_ask(
    conversation: Conversation[None], procedure: Procedure, arguments: tuple[object, ...]
) -> None:
    request = next(conversation)
    assert (request.procedure, request.arguments) == (procedure, arguments)
    request.procedure.arguments.pack(request.arguments)  # it fits the wire
