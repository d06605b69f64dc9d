import json
from pathlib import Path

import pytest

from insula.cli import configcommands
from insula.errors import UnsupportedConfigError
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

FOUND = [
    {"consequence": "lost", "key": "lxc.group", "line": 3, "file": "", "why": "none", "advice": "label"},
    {"consequence": "changed", "key": "uuid", "line": 0, "file": "", "why": "none", "advice": ""},
]
READ = json.dumps({"xml": "<domain/>\n", "findings": FOUND})
WRITTEN = json.dumps({"text": "lxc.uts.name = web\n", "findings": FOUND})


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "config").write_text("lxc.uts.name = web\n")
    return str(tmp_path)


def _run(verb: str, client: FakeClient, *words: str) -> int:
    return configcommands.RUN[verb](options_of(configcommands.ARGUMENTS[verb], *words), client.host)


def test_a_document_becomes_xml_and_what_it_loses_is_told_beside(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient({Insula.CONFIG_READ: READ})
    assert _run("config import", client, "lxc-tools", config, "--name", "db") == 0
    out, err = capsys.readouterr()
    assert out == "<domain/>\n"
    assert "line 3: lost: lxc.group: none; label" in err and "changed: uuid: none" in err
    ((name, request, _),) = client.made(Insula.CONFIG_READ)
    assert name == "lxc-tools"
    assert json.loads(request) == {
        "text": "lxc.uts.name = web\n",
        "path": f"{config}/config",
        "name": "db",
        "others": {},
    }


def test_a_document_can_be_defined_at_once(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Insula.CONFIG_READ: READ, Remote.DOMAIN_DEFINE_XML_FLAGS: WEB})
    assert _run("config import", client, "lxc-tools", config, "--define") == 0
    assert capsys.readouterr().out == "web\n"
    assert client.made(Remote.DOMAIN_DEFINE_XML_FLAGS) == [("<domain/>\n", 0)]


def test_who_is_strict_has_nothing_defined_that_loses_something(config: str) -> None:
    client = FakeClient({Insula.CONFIG_READ: READ})
    with pytest.raises(UnsupportedConfigError, match="2 settings"):
        _run("config import", client, "lxc-tools", config, "--define", "--strict")


def test_programs_get_one_document_of_json(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("config import", FakeClient({Insula.CONFIG_READ: READ}), "lxc-tools", config, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(READ) and err == ""


def test_a_definition_is_exported_without_its_secrets_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for words, flags in (((), 2), (("--secure",), 3)):
        client = FakeClient(
            {
                Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
                Remote.DOMAIN_GET_XML_DESC: "<domain/>",
                Insula.CONFIG_WRITE: WRITTEN,
            }
        )
        assert _run("config export", client, "lxc-tools", "web", *words) == 0
        assert capsys.readouterr().out == "lxc.uts.name = web\n"
        assert client.made(Remote.DOMAIN_GET_XML_DESC) == [(WEB, flags)]
        assert client.made(Insula.CONFIG_WRITE) == [("lxc-tools", "<domain/>", 0)]
