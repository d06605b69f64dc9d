"""What a guest tells of itself: which calls, and what is made of their answers."""

from typing import Any

import pytest

from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk import guestverbs
from insula.sdk.conversation import Answer, Conversation
from insula.sdk.guestverbs import MountedFilesystem, SystemState

WEB = DomainRef("web", bytes(16), 1)
ROOT = MountedFilesystem(name="sda1", point="/", kind="ext4")


@pytest.mark.parametrize(
    ("conversation", "procedure", "arguments", "results", "outcome"),
    [
        (
            guestverbs.guest_info(WEB),
            Remote.DOMAIN_GET_GUEST_INFO,
            (WEB, 0, 0),
            ([("os.id", 7, "debian"), ("user.count", 2, 0)],),
            {"os.id": "debian", "user.count": 0},
        ),
        (
            guestverbs.system_state(WEB),
            Remote.DOMAIN_GET_GUEST_INFO,
            (WEB, 2, 0),
            (
                [
                    ("os.id", 7, "debian"),
                    ("insula.system.state", 7, "degraded"),
                    ("insula.system.failed.count", 4, 2),
                    ("insula.system.failed.0.name", 7, "a.service"),
                ],
            ),
            SystemState(state="degraded", failed=2, failed_units=("a.service",)),
        ),
        (
            guestverbs.system_state(WEB),
            Remote.DOMAIN_GET_GUEST_INFO,
            (WEB, 2, 0),
            ([("os.id", 7, "debian")],),
            None,
        ),
        (
            guestverbs.filesystems(WEB),
            Remote.DOMAIN_GET_FSINFO,
            (WEB, 0),
            ([("/", "sda1", "ext4", [])], 1),
            [ROOT],
        ),
        (guestverbs.quiesce(WEB, ["/"]), Remote.DOMAIN_FSFREEZE, (WEB, ["/"], 0), (1,), 1),
        (guestverbs.unquiesce(WEB), Remote.DOMAIN_FSTHAW, (WEB, [], 0), (1,), 1),
        (guestverbs.trim(WEB, "/"), Remote.DOMAIN_FSTRIM, (WEB, "/", 0, 0), (), None),
        (guestverbs.dump(WEB, "/x"), Remote.DOMAIN_CORE_DUMP, (WEB, "/x", 0), (), None),
        (guestverbs.dump(WEB, "/x", live=True, reset=True), Remote.DOMAIN_CORE_DUMP, (WEB, "/x", 10), (), None),
        (guestverbs.dump(WEB, "/x", crash=True), Remote.DOMAIN_CORE_DUMP, (WEB, "/x", 1), (), None),
    ],
    ids=[
        "info",
        "system",
        "no system",
        "file systems",
        "freeze",
        "thaw",
        "trim",
        "dump",
        "dump in parts",
        "dump, crash",
    ],
)
def test_a_verb_asks_what_libvirts_clients_ask_and_reads_the_answer(
    conversation: Conversation[Any],
    procedure: Procedure,
    arguments: tuple[object, ...],
    results: tuple[object, ...],
    outcome: object,
) -> None:
    request = next(conversation)
    assert (request.procedure, request.arguments) == (procedure, arguments)
    request.procedure.arguments.pack(request.arguments)  # it fits the wire
    values = procedure.results.unpack(procedure.results.pack(results))
    with pytest.raises(StopIteration) as end:
        conversation.send(Answer(values, (), None))
    assert end.value.value == outcome
