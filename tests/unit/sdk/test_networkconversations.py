"""Verbs of networks: what each asks for, and what it makes of the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from insula.model.networknumbers import ListNetworks, NetworkUpdateCommand, NetworkUpdateSection
from insula.model.numbers import Affect, MetadataType
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import NetworkRef
from insula.sdk import networkconversations
from insula.sdk.conversation import Conversation
from insula.sdk.networkconversations import NetworkLease
from tests.unit.sdk.test_verbs import told

LAN = NetworkRef("lan", bytes(range(16)))
ADD, HOST = NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.IP_DHCP_HOST
TITLE = MetadataType.TITLE


@pytest.mark.parametrize(
    ("conversation", "procedure", "arguments"),
    [
        (lambda: networkconversations.start_network(LAN), Remote.NETWORK_CREATE, (LAN,)),
        (lambda: networkconversations.destroy_network(LAN), Remote.NETWORK_DESTROY, (LAN,)),
        (lambda: networkconversations.undefine_network(LAN), Remote.NETWORK_UNDEFINE, (LAN,)),
        (lambda: networkconversations.set_network_autostart(LAN, wanted=True), Remote.NETWORK_SET_AUTOSTART, (LAN, 1)),
        (
            lambda: networkconversations.update_network(LAN, ADD, HOST, "<host/>", flags=Affect.LIVE),
            Remote.NETWORK_UPDATE,
            (LAN, 3, 4, -1, "<host/>", 1),
        ),
        (
            lambda: networkconversations.set_network_metadata(LAN, TITLE, "mine"),
            Remote.NETWORK_SET_METADATA,
            (LAN, 1, "mine", None, None, 0),
        ),
    ],
)
def test_a_verb_without_an_answer_makes_one_call(
    conversation: Callable[[], Conversation[None]], procedure: Procedure, arguments: tuple[Any, ...]
) -> None:
    request, outcome = told(conversation())
    assert (request.procedure, tuple(request.arguments), outcome) == (procedure, arguments, None)


@pytest.mark.parametrize(
    ("conversation", "procedure", "values", "outcome"),
    [
        (
            lambda: networkconversations.networks(ListNetworks.ACTIVE),
            Remote.CONNECT_LIST_ALL_NETWORKS,
            ((LAN,), 1),
            (LAN,),
        ),
        (lambda: networkconversations.network_by_name("lan"), Remote.NETWORK_LOOKUP_BY_NAME, (LAN,), LAN),
        (lambda: networkconversations.network_by_uuid(LAN.uuid), Remote.NETWORK_LOOKUP_BY_UUID, (LAN,), LAN),
        (lambda: networkconversations.define_network("<n/>"), Remote.NETWORK_DEFINE_XML_FLAGS, (LAN,), LAN),
        (lambda: networkconversations.create_network("<n/>"), Remote.NETWORK_CREATE_XML_FLAGS, (LAN,), LAN),
        (lambda: networkconversations.network_xml(LAN, inactive=True), Remote.NETWORK_GET_XML_DESC, ("<n/>",), "<n/>"),
        (lambda: networkconversations.network_is_active(LAN), Remote.NETWORK_IS_ACTIVE, (1,), True),
        (lambda: networkconversations.network_is_persistent(LAN), Remote.NETWORK_IS_PERSISTENT, (0,), False),
        (lambda: networkconversations.network_autostart(LAN), Remote.NETWORK_GET_AUTOSTART, (1,), True),
        (lambda: networkconversations.network_bridge(LAN), Remote.NETWORK_GET_BRIDGE_NAME, ("virbr0",), "virbr0"),
        (lambda: networkconversations.network_metadata(LAN, TITLE), Remote.NETWORK_GET_METADATA, ("mine",), "mine"),
        (lambda: networkconversations.network_info(LAN), Insula.NETWORK_INFO, ('{"name":"lan"}',), {"name": "lan"}),
        (networkconversations.network_overview, Insula.NETWORK_LIST, ('[{"name":"lan"}]',), [{"name": "lan"}]),
    ],
)
def test_a_verb_returns_what_the_daemon_answers(
    conversation: Callable[[], Conversation[Any]], procedure: Procedure, values: tuple[Any, ...], outcome: object
) -> None:
    request, found = told(conversation(), *values)
    assert (request.procedure, found) == (procedure, outcome)


def test_leases_tell_the_version_of_their_address() -> None:
    sent = [
        ("virbr0", 9, 0, "52:54:00:00:00:01", None, "10.9.0.5", 24, "web", "01:52"),
        ("virbr0", 0, 1, None, "1", "fd00::5", 64, None, "00:01"),
    ]
    _, (first, second) = told(networkconversations.network_leases(LAN), tuple(sent), 2)
    assert first == NetworkLease("virbr0", 9, 4, "52:54:00:00:00:01", None, "10.9.0.5", 24, "web", "01:52")
    assert (second.version, second.address, second.expiry) == (6, "fd00::5", 0)


def test_what_an_offered_network_is_to_be_like_is_sent_as_json() -> None:
    request, xml = told(networkconversations.offer_network("lan", mode="none", ipv6=False), "<n/>")
    assert json.loads(request.arguments[1]) == {"mode": "none", "subnet": None, "ipv6": False}
    assert (request.procedure, request.arguments[0], xml) == (Insula.NETWORK_OFFER, "lan", "<n/>")
