from pathlib import Path

import pytest

from insula.cli import definitioncommands
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError, XmlError
from insula.rpc.procedures import Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

XML = "<domain>\n  <memory>1</memory>\n</domain>\n"


def _run(verb: str, client: FakeClient, *words: str) -> int:
    return definitioncommands.RUN[verb](options_of(definitioncommands.ARGUMENTS[verb], *words), client.host)


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_GET_XML_DESC: XML,
            Remote.DOMAIN_DEFINE_XML_FLAGS: WEB,
            Remote.DOMAIN_SET_AUTOSTART: None,
            Remote.DOMAIN_IS_PERSISTENT: 1,
        }
    )


def _editor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    program = tmp_path / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{program} --wait")


def test_xml_is_that_of_the_run_or_of_the_definition(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("xml", client, "web") == _run("xml", client, "web", "--inactive", "--secure") == 0
    assert capsys.readouterr().out == XML * 2
    assert client.made(Remote.DOMAIN_GET_XML_DESC) == [(WEB, 0), (WEB, 3)]


def test_what_an_editor_has_changed_is_defined(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _editor(monkeypatch, tmp_path, 'test "$1" = --wait && sed -i s/1/2/ "$2"')
    assert _run("edit", client, "web") == 0
    assert client.made(Remote.DOMAIN_DEFINE_XML_FLAGS) == [(XML.replace("1", "2"), 0)]


def test_a_domain_without_a_definition_is_not_given_one_by_the_way(client: FakeClient) -> None:
    client.answers[Remote.DOMAIN_IS_PERSISTENT] = 0
    with pytest.raises(OperationInvalidError, match="no definition to change"):
        _run("edit", client, "web")
    assert not client.made(Remote.DOMAIN_DEFINE_XML_FLAGS)


def test_what_an_editor_left_alone_is_not_defined(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _editor(monkeypatch, tmp_path, "true")
    assert _run("edit", client, "web") == 0
    assert client.made(Remote.DOMAIN_DEFINE_XML_FLAGS) == [] and "stays as it was" in capsys.readouterr().out


def test_an_editor_that_fails_changes_nothing(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _editor(monkeypatch, tmp_path, 'sed -i s/1/2/ "$2"; exit 3')
    with pytest.raises(OperationFailedError, match="status 3"):
        _run("edit", client, "web")
    monkeypatch.setenv("VISUAL", str(tmp_path / "missing"))
    with pytest.raises(OperationFailedError, match="set EDITOR"):
        _run("edit", client, "web")
    assert client.made(Remote.DOMAIN_DEFINE_XML_FLAGS) == []


def test_a_definition_that_is_refused_may_be_edited_again(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = iter([True, False])

    def define(_xml: str, _flags: int) -> object:
        if next(refused):
            raise XmlError("line 2: no")
        return WEB

    client.answers[Remote.DOMAIN_DEFINE_XML_FLAGS] = define
    _editor(monkeypatch, tmp_path, 'sed -i s/1/12/ "$2"')
    monkeypatch.setattr(definitioncommands, "confirmed", lambda *_, **__: True)
    assert _run("edit", client, "web") == 0
    assert "web: " in capsys.readouterr().err
    assert [each[0].count("2") for each in client.made(Remote.DOMAIN_DEFINE_XML_FLAGS)] == [1, 2]


def test_where_nobody_can_answer_a_refusal_is_the_end(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client.answers[Remote.DOMAIN_DEFINE_XML_FLAGS] = XmlError("line 2: no")
    monkeypatch.setattr(definitioncommands, "confirmed", lambda *_, **__: False)
    _editor(monkeypatch, tmp_path, 'sed -i s/1/2/ "$2"')
    assert _run("edit", client, "web") == 2


def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = iter([XML, XML.replace("1", "3")])
    client.answers[Remote.DOMAIN_GET_XML_DESC] = lambda *_: next(texts)
    monkeypatch.setattr(definitioncommands, "confirmed", lambda *_, **__: False)
    _editor(monkeypatch, tmp_path, 'sed -i s/1/2/ "$2"')
    assert _run("edit", client, "web") == 1
    assert "somebody else" in capsys.readouterr().err
    assert client.made(Remote.DOMAIN_DEFINE_XML_FLAGS) == []


def test_autostart_is_set_and_taken_back(client: FakeClient) -> None:
    assert _run("autostart", client, "web") == _run("autostart", client, "--disable", "web") == 0
    assert client.made(Remote.DOMAIN_SET_AUTOSTART) == [(WEB, True), (WEB, False)]


def test_a_domain_can_be_told_to_start_with_the_hosts_next_start_only(client: FakeClient) -> None:
    client.answers[Remote.DOMAIN_SET_AUTOSTART_ONCE] = None
    assert _run("autostart", client, "--once", "web") == _run("autostart", client, "--once", "--disable", "web") == 0
    assert client.made(Remote.DOMAIN_SET_AUTOSTART_ONCE) == [(WEB, True), (WEB, False)]
    assert client.made(Remote.DOMAIN_SET_AUTOSTART) == []


def test_a_domain_is_renamed(client: FakeClient) -> None:
    client.answers[Remote.DOMAIN_RENAME] = 0
    assert _run("rename", client, "web", "site") == 0
    assert client.made(Remote.DOMAIN_RENAME) == [(WEB, "site", 0)]
    client.answers[Remote.DOMAIN_RENAME] = XmlError("line 2: /domain/name: found 'a/b', expected 1 to 64 characters")
    with pytest.raises(InvalidArgumentError, match=r"^the name: found 'a/b'"):
        _run("rename", client, "web", "a/b")
