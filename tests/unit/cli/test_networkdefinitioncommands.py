from pathlib import Path

import pytest

from insula.cli import networkdefinitioncommands
from insula.errors import OperationInvalidError
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import NetworkRef
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of

LAN = NetworkRef("lan", bytes(range(16)))
XML = "<network>\n  <mtu size='1'/>\n</network>\n"
HOST = "<host mac='52:54:00:00:00:01' ip='10.9.0.5'/>"


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(
        {
            Remote.NETWORK_LOOKUP_BY_NAME: LAN,
            Remote.NETWORK_GET_XML_DESC: XML,
            Remote.NETWORK_DEFINE_XML_FLAGS: LAN,
            Remote.NETWORK_IS_PERSISTENT: 1,
            Remote.NETWORK_IS_ACTIVE: 1,
            Remote.NETWORK_UPDATE: None,
        }
    )


def run(verb: str, client: FakeClient, *words: str) -> int:
    arguments = networkdefinitioncommands.ARGUMENTS[verb]
    return networkdefinitioncommands.RUN[verb](options_of(arguments, *words), client.host)


def editor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    program = tmp_path / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(program))


def test_xml_is_that_of_the_run_or_of_the_definition(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("network xml", client, "lan") == run("network xml", client, "lan", "--inactive") == 0
    assert capsys.readouterr().out == XML * 2
    assert client.made(Remote.NETWORK_GET_XML_DESC) == [(LAN, 0), (LAN, 1)]


def test_what_an_editor_has_changed_is_defined(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(monkeypatch, tmp_path, "sed -i s/1/2/ $1")
    assert run("network edit", client, "lan") == 0
    assert client.made(Remote.NETWORK_DEFINE_XML_FLAGS) == [(XML.replace("1", "2"), 0)]
    assert "'lan' is changed." in capsys.readouterr().out


def test_what_is_not_changed_is_not_defined(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor(monkeypatch, tmp_path, "exit 0")
    assert run("network edit", client, "lan") == 0
    assert client.made(Remote.NETWORK_DEFINE_XML_FLAGS) == []


def test_another_uuid_or_another_hand_is_told(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(monkeypatch, tmp_path, "sed -i s/1/2/ $1")
    client.answers[Remote.NETWORK_DEFINE_XML_FLAGS] = NetworkRef("lan", bytes(16))
    assert run("network edit", client, "lan") == 2
    assert "it has another UUID now" in capsys.readouterr().err
    documents = iter([XML, XML.replace("1", "9")])
    client.answers[Remote.NETWORK_GET_XML_DESC] = lambda *_: next(documents)
    assert run("network edit", client, "lan") == 1
    assert "somebody else has changed the definition meanwhile" in capsys.readouterr().err


def test_a_transient_network_has_no_definition_to_edit(client: FakeClient) -> None:
    client.answers[Remote.NETWORK_IS_PERSISTENT] = 0
    with pytest.raises(OperationInvalidError, match="it has no definition to change"):
        run("network edit", client, "lan")


def test_sections_that_no_network_can_change_are_no_choice(
    client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("network update", client, "lan", "add", "domain", "<domain name='lan'/>")
    told = capsys.readouterr().err
    assert "dns-srv" in told
    assert "forward-pf" not in told
    assert client.made(Remote.NETWORK_UPDATE) == []


@pytest.mark.parametrize(
    ("words", "active", "persistent", "affect"),
    [((), 1, 1, 3), ((), 0, 1, 2), ((), 1, 0, 1), (("--live",), 1, 1, 1), (("--config",), 1, 1, 2)],
)
def test_an_element_is_changed_where_it_can_be_unless_said_otherwise(
    client: FakeClient, words: tuple[str, ...], active: int, persistent: int, affect: int
) -> None:
    client.answers |= {Remote.NETWORK_IS_ACTIVE: active, Remote.NETWORK_IS_PERSISTENT: persistent}
    assert run("network update", client, "lan", "add", "ip-dhcp-host", HOST, *words) == 0
    assert client.made(Remote.NETWORK_UPDATE) == [(LAN, 3, 4, -1, HOST, affect)]
