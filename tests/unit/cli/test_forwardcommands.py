import json
from xml.etree import ElementTree as ET

import pytest

from insula.cli import forwardcommands
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.numbers import Affect, MetadataType
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import NetworkRef
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of

LAN = NetworkRef("lan", bytes(range(16)))
ONE = "<forward start='8080' to='10.9.0.5' tostart='80'/>"
TWO = "<forward protocol='udp' dev='eth0' start='5000' end='5002' to='fd00::5'/>"
BOTH = Affect.LIVE | Affect.CONFIG


def client_of(*forwards: str, active: int = 1) -> FakeClient:
    element = f"<network>{''.join(forwards)}</network>"
    return FakeClient(
        {
            Remote.NETWORK_LOOKUP_BY_NAME: LAN,
            Remote.NETWORK_GET_METADATA: element,
            Remote.NETWORK_IS_PERSISTENT: 1,
            Remote.NETWORK_IS_ACTIVE: active,
            Remote.NETWORK_SET_METADATA: None,
        }
    )


def run(client: FakeClient, *words: str) -> int:
    options = options_of(forwardcommands.ARGUMENTS["network forward"], "lan", *words)
    return forwardcommands.RUN["network forward"](options, client.host)


def kept(client: FakeClient) -> tuple[str | None, int]:
    """Return the element that was set, and for what."""
    ((ref, kind, value, key, uri, affect),) = client.made(Remote.NETWORK_SET_METADATA)
    assert (ref, kind, key, uri) == (LAN, MetadataType.ELEMENT, "insula", INSULA_NAMESPACE)
    return value, affect


@pytest.mark.parametrize(
    ("words", "forward"),
    [
        (("8080:10.9.0.5:80",), {"protocol": "tcp", "start": "8080", "to": "10.9.0.5", "tostart": "80"}),
        (("80:10.9.0.5:80",), {"protocol": "tcp", "start": "80", "to": "10.9.0.5"}),
        (("53:[fd00::5]", "--protocol", "udp"), {"protocol": "udp", "start": "53", "to": "fd00::5"}),
        (
            ("5000-5002:10.9.0.5:6000", "--address", "192.0.2.1", "--dev", "eth0"),
            {
                "protocol": "tcp",
                "address": "192.0.2.1",
                "dev": "eth0",
                "start": "5000",
                "end": "5002",
                "to": "10.9.0.5",
                "tostart": "6000",
            },
        ),
    ],
)
def test_a_forward_is_added_behind_those_there_are(words: tuple[str, ...], forward: dict[str, str]) -> None:
    client = client_of(ONE)
    assert run(client, *words) == 0
    value, affect = kept(client)
    assert value is not None
    assert [each.attrib for each in ET.fromstring(value)] == [
        {"start": "8080", "to": "10.9.0.5", "tostart": "80"},
        forward,
    ]
    assert affect == BOTH


def test_a_network_that_is_not_active_has_it_from_its_next_start_on() -> None:
    client = client_of(active=0)
    run(client, "80:10.9.0.5")
    assert kept(client)[1] == Affect.CONFIG


def test_a_forward_is_taken_away_by_the_hosts_ports() -> None:
    client = client_of(ONE, TWO)
    run(client, "8080", "--remove")
    assert "8080" not in (kept(client)[0] or "")
    client = client_of(TWO)
    run(client, "5000-5002", "--protocol", "udp", "--remove")
    assert kept(client) == (None, BOTH)


def test_what_is_not_forwarded_is_not_taken_away() -> None:
    client = client_of(ONE)
    for words in (("8081",), ("8080", "--protocol", "udp"), ("8080", "--address", "192.0.2.1")):
        with pytest.raises(OperationInvalidError, match="no port forward is there for"):
            run(client, *words, "--remove")
    assert client.made(Remote.NETWORK_SET_METADATA) == []


@pytest.mark.parametrize("word", ["80", "80:", "x:10.9.0.5", "80:web", "0:10.9.0.5", "80:10.9.0.5:70000", "80:fd00::5"])
def test_what_is_no_forward_is_refused(word: str) -> None:
    client = client_of()
    with pytest.raises(InvalidArgumentError, match=f"'{word}"):
        run(client, word)
    assert client.made(Remote.NETWORK_SET_METADATA) == []


def test_forwards_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(client_of(ONE, TWO)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [["tcp", "any", "8080", "10.9.0.5", "80"], ["udp", "eth0", "5000-5002", "fd00::5", "5000"]]
    run(client_of(ONE), "--json")
    assert json.loads(capsys.readouterr().out) == [
        {
            "protocol": "tcp",
            "address": None,
            "device": None,
            "first": 8080,
            "last": 8080,
            "to": "10.9.0.5",
            "to_first": 80,
        }
    ]
    run(client_of())
    assert "no port of the host is forwarded" in capsys.readouterr().out
