import pytest

from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk import accessverbs
from insula.sdk.conversation import Conversation

WEB = DomainRef("web", bytes(16), 1)


@pytest.mark.parametrize(
    ("conversation", "procedure", "arguments"),
    [
        (accessverbs.set_password(WEB, "root", "secret"), Remote.DOMAIN_SET_USER_PASSWORD, (WEB, "root", "secret", 0)),
        (
            accessverbs.set_password(WEB, "root", "$6$s$h", encrypted=True),
            Remote.DOMAIN_SET_USER_PASSWORD,
            (WEB, "root", "$6$s$h", 1),
        ),
        (accessverbs.authorized_keys(WEB, "root"), Remote.DOMAIN_AUTHORIZED_SSH_KEYS_GET, (WEB, "root", 0)),
        (
            accessverbs.authorize(WEB, "root", ["ssh-rsa AAAA"]),
            Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET,
            (WEB, "root", ["ssh-rsa AAAA"], 1),
        ),
    ],
    ids=["password", "hash", "keys", "more keys"],
)
def test_a_verb_asks_what_libvirts_clients_ask(
    conversation: Conversation[object], procedure: Procedure, arguments: tuple[object, ...]
) -> None:
    request = next(conversation)
    assert (request.procedure, request.arguments) == (procedure, arguments)
    request.procedure.arguments.pack(request.arguments)  # it fits the wire
