import json

import pytest

from insula.cli import labelcommand
from insula.cli.labelcommand import changed, element
from insula.errors import InvalidArgumentError
from insula.model.xmlnamespaces import LABELS_NAMESPACE
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of


def _run(client: FakeClient, *words: str) -> int:
    return labelcommand.RUN["label"](options_of(labelcommand.ARGUMENTS["label"], *words), client.host)


@pytest.fixture
def client() -> FakeClient:
    told = [{"uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f", "labels": {"role": "www"}}]
    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_IS_PERSISTENT: 1,
            Remote.DOMAIN_SET_METADATA: None,
            Insula.DOMAIN_LIST: json.dumps(told),
        }
    )


def test_labels_are_shown_for_people_and_programs(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(client, "web") == 0
    assert capsys.readouterr().out == "role=www\n"
    _run(client, "web", "--json")
    assert json.loads(capsys.readouterr().out) == {"role": "www"}
    assert client.made(Remote.DOMAIN_SET_METADATA) == []


def test_labels_are_kept_for_the_run_and_the_definition(client: FakeClient) -> None:
    _run(client, "web", "stage=test & try", "role-")
    xml = "<labels><label name='stage'>test &amp; try</label></labels>"
    assert client.made(Remote.DOMAIN_SET_METADATA) == [(WEB, 2, xml, "labels", LABELS_NAMESPACE, 3)]


def test_the_last_label_takes_the_element_along(client: FakeClient) -> None:
    _run(client, "web", "role-")
    assert client.made(Remote.DOMAIN_SET_METADATA)[0][2] is None


def test_what_changes_nothing_is_not_written(client: FakeClient) -> None:
    _run(client, "web", "role=www", "other-")
    assert client.made(Remote.DOMAIN_SET_METADATA) == []


@pytest.mark.parametrize("wish", ["role", "=x", "-", ""])
def test_what_is_no_label_is_refused(wish: str) -> None:
    with pytest.raises(InvalidArgumentError, match="NAME=VALUE"):
        changed({}, [wish])


def test_a_name_ends_no_attribute() -> None:
    assert element({"it's <&": ""}) == "<labels><label name='it&#x27;s &lt;&amp;'></label></labels>"
