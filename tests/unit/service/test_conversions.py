import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from insula.errors import InvalidArgumentError, XmlError
from insula.service.conversions import ConversionVerbs
from insula.service.documents import Documents
from tests.unit.service.fakes import domain_xml

pytestmark = pytest.mark.asyncio
CONFIG = "lxc.rootfs.path = /srv/web\nlxc.uts.name = web\nlxc.group = a\n"


@pytest_asyncio.fixture
async def verbs() -> AsyncIterator[ConversionVerbs]:
    documents = Documents()
    yield ConversionVerbs(documents=documents, vcpus=lambda: 3)
    documents.close()


async def test_a_text_alone_becomes_xml_with_what_it_loses_as_comments(verbs: ConversionVerbs) -> None:
    xml = await verbs.xml_of("lxc-tools", CONFIG)
    assert "<vcpu placement='static'>3</vcpu>" in xml and "<!-- line 3: lost: lxc.group: " in xml


async def test_a_request_is_answered_with_what_was_found_beside_the_xml(verbs: ConversionVerbs) -> None:
    wanted: dict[str, object] = {"text": CONFIG, "path": "/var/lib/lxc/db/config", "name": None, "others": {}}
    told = await verbs.read("lxc-tools", json.dumps(wanted))
    assert "<name>db</name>" in told["xml"] and "<!--" not in told["xml"]
    assert [each["key"] for each in told["findings"]] == ["lxc.idmap", "lxc.group"]
    assert set(told["findings"][0]) == {"consequence", "key", "line", "file", "why", "advice"}


async def test_a_definition_becomes_a_text(verbs: ConversionVerbs) -> None:
    told = await verbs.write("lxc-tools", domain_xml())
    assert "lxc.uts.name = web" in told["text"] and "uuid" in {each["key"] for each in told["findings"]}


@pytest.mark.parametrize(
    "request_",
    [
        "[]",
        "{}",
        '{"text": 1}',
        '{"text": "", "path": "x"}',
        '{"text": "", "name": 1}',
        '{"text": "", "others": {"a": 1}}',
    ],
)
async def test_a_request_that_is_none_is_refused(verbs: ConversionVerbs, request_: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await verbs.read("lxc-tools", request_)


async def test_what_is_no_document_is_refused(verbs: ConversionVerbs) -> None:
    with pytest.raises(InvalidArgumentError):
        await verbs.xml_of("vmware-vmx", CONFIG)
    with pytest.raises(InvalidArgumentError):
        await verbs.xml_of("lxc-tools", "nonsense")
    with pytest.raises(XmlError):
        await verbs.write("lxc-tools", "<network/>")
