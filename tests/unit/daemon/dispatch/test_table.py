"""The table of handlers is complete for what libvirt's own LXC daemon has, and honest about the rest."""

import builtins
import inspect
import re
from collections.abc import Sequence
from typing import get_type_hints

import pytest

from insula.daemon.dispatch.table import BEFORE_OPEN, HANDLERS, OF_DOMAIN, OF_NETWORK, WAITING
from insula.daemon.incomingcall import IncomingCall
from insula.rpc import wiretypes
from insula.rpc.absentreasons import ABSENT_REASONS
from insula.rpc.procedure import Priority
from insula.rpc.procedures import Insula, Lxc, Procedure, Remote
from insula.rpc.refusals import ABSENT
from insula.service.managed import ManagedDomain
from insula.service.managednetwork import ManagedNetwork

VIRTLXCD = frozenset(
    {
        60, 1, 2, 4, 59, 149, 273, 37, 51, 21, 25, 22, 24, 23, 212, 16, 14, 19, 150, 151, 202, 11, 350, 35, 231, 9,
        196, 310, 10, 309, 12, 234, 33, 258, 27, 34, 28, 15, 29, 201, 183, 265, 264, 295, 277, 353, 8, 160, 13, 161,
        174, 121, 105, 106, 167, 168, 17, 30, 31, 204, 198, 197, 206, 205, 56, 57, 223, 58, 219, 159, 64, 243, 65,
        262, 6, 7, 203, 122, 227, 228, 101, 102, 293, 289, 288, 340, 347, 250, 135,
    }
)  # fmt: skip
"""The REMOTE procedures that libvirt 9.0's LXC driver implements."""
LEFT_OUT = frozenset(
    {
        288,  # tuning the host's page merging is not a container's business
        347,  # nor is allocating its huge pages
        250,  # nor sending it to sleep
    }
)
VIRT_MANAGER = frozenset(
    {3, 157, 110, 66, 360, 361, 316, 317, 344, 342, 5, 281, 52, 38, 111, 112, 313, 314, 368, 369, 374, 375, 283, 285}
    | {284, 287, 286, 274, 413, 163, 298, 426, 18, 20, 200, 230, 229, 380, 381}
)
"""What clients call besides, when they connect and idle."""

SCALARS = {"i": int, "u": int, "q": int, "Q": int, "d": float, "s": str, "uuid": bytes, "opaque": bytes, "c4": bytes}
NOUNS = {
    "dom": wiretypes.DomainRef,
    "net": wiretypes.NetworkRef,
    "pool": wiretypes.PoolRef,
    "vol": wiretypes.VolumeRef,
    "iface": wiretypes.InterfaceRef,
    "ndev": wiretypes.NodeDeviceRef,
    "secret": wiretypes.SecretRef,
    "nport": wiretypes.NetworkPortRef,
    "nwf": wiretypes.FilterRef,
    "nwfb": wiretypes.FilterBindingRef,
    "P": wiretypes.TypedParameter,
}
"""What a word of the notation is in Python; further ones are added with the handlers that take them."""

REFERENCES: dict[str, tuple[str, object]] = {
    OF_DOMAIN: ("domain", ManagedDomain),
    OF_NETWORK: ("network", ManagedNetwork),
}
"""What a first argument refers to is looked up before."""


def wanted(row: Procedure) -> list[tuple[str, object]]:
    """The parameters that a row's handler must have: as the notation calls and types them, in Python's spelling."""
    found: list[tuple[str, object]] = []
    for name, notation in re.findall(r"([\w*]+):(\{.*?\}\S*|\S+)", row.arguments_notation):
        if "*" in name:
            continue  # a bound for the product of two others
        if not found and notation in REFERENCES:
            found.append(REFERENCES[notation])
            continue
        word, rest = re.fullmatch(r"(\w+)(.*)", notation).groups()  # type: ignore[union-attr]
        kind = {**SCALARS, **NOUNS}[word]
        listed = rest.startswith("<") and kind is not bytes
        optional = rest.endswith("?")
        found.append((spelled(name), Sequence[kind] if listed else kind | None if optional else kind))  # type: ignore[valid-type]
    return found


def spelled(name: str) -> str:
    """A name of the wire in Python's way; those that mean something in Python or in handlers have a line behind."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    snake = {"dom": "domain"}.get(snake, snake)
    return f"{snake}_" if snake in {"request", *dir(builtins)} else snake


@pytest.mark.parametrize("row", HANDLERS, ids=repr)
def test_a_handler_takes_what_its_row_carries(row: Procedure) -> None:
    handler = HANDLERS[row]
    hints = get_type_hints(handler)
    request, *parameters = inspect.signature(handler).parameters.values()
    assert request.name == "request" and hints["request"] is IncomingCall
    for name, kind in wanted(row):
        if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
            break  # it minds nothing of what follows
        parameter = parameters.pop(0)
        if parameter.name != "_":
            assert (parameter.name, hints[parameter.name]) == (name, kind)
    assert all(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)


def test_everything_libvirts_lxc_daemon_does_is_answered() -> None:
    answered = {each.number for each in HANDLERS if each in Remote.rows.values()}
    assert VIRTLXCD - answered == LEFT_OUT


def test_what_graphical_clients_ask_for_when_they_connect_is_answered() -> None:
    answered = {each.number for each in HANDLERS if each in Remote.rows.values()}
    assert answered >= VIRT_MANAGER


def test_our_own_program_is_answered_in_full() -> None:
    assert set(Insula.rows.values()) <= set(HANDLERS)
    assert set(Lxc.rows.values()) <= set(HANDLERS)


def test_no_event_has_a_handler() -> None:
    assert not [each for each in HANDLERS if each.is_event]


def test_what_may_come_before_open_is_urgent_and_answered() -> None:
    assert set(HANDLERS) >= BEFORE_OPEN
    assert all(each.priority is Priority.HIGH for each in BEFORE_OPEN)


def test_only_calls_that_wait_take_no_turn() -> None:
    assert {each.name for each in WAITING} == {"DOMAIN_WAIT", "DOMAIN_WAIT_READY", "EXEC_EXPLANATION", "EXEC_WAIT"}


COMING = frozenset(
    {
        "virDomainGetAutostartOnce",
        "virDomainSetAutostartOnce",
        "virDomainOpenChannel",
        "virConnectDomainXMLFromNative",
        "virConnectDomainXMLToNative",
    }
)
"""They mean something to a container: where they are not answered, that is all there is to say."""


def test_every_call_about_domains_is_answered_or_refused_in_words() -> None:
    answered = {row.api for row in HANDLERS}
    named = {row.api for row in Remote.rows.values() if not row.is_event}
    named |= {api for each in ABSENT.values() for api in each.values()}
    about_domains = {api for api in named if api.startswith(("virDomain", "virConnectDomain"))}
    assert about_domains - answered - COMING <= ABSENT_REASONS.keys()
    assert ABSENT_REASONS.keys() <= named - answered
