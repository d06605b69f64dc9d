"""Channels are found by the names clients have for them, and told with their state."""

import asyncio
import os

import pytest

from insula.errors import DeviceMissingError, OperationFailedError, OperationInvalidError
from insula.service.channels import ChannelVerbs
from tests.unit.service.fakes import Rig, domain_xml
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


def channel(name: str, type_: str = "virtio") -> str:
    return f"<channel type='unix'><target type='{type_}' name='{name}'/></channel>"


XML = domain_xml().replace("<devices>", f"<devices>{channel('xen', 'xen')}{channel('a')}{channel('b')}")


async def test_a_channel_answers_to_its_name_and_its_alias_and_the_first_to_none(rig: Rig) -> None:
    rig.preparation.consoles = 1
    ref = await rig.domains.create_xml(XML)
    verbs, web = ChannelVerbs(), rig.domains.of(ref)
    for name, terminal in ((None, 1), ("a", 1), ("channel1", 1), ("b", 2), ("channel2", 2)):
        peer = verbs.open(web, name)
        os.write(rig.guest().terminals[terminal], b"hello")
        async with asyncio.timeout(patience(20)):
            assert await peer.read(5) == b"hello"
        peer.close()
    for name in ("xen", "channel0", "c"):
        with pytest.raises(DeviceMissingError, match=f"cannot find channel '{name}'"):
            verbs.open(web, name)


async def test_without_a_run_or_its_terminals_a_channel_is_refused_in_words(rig: Rig) -> None:
    ref = await rig.domains.define(XML)
    verbs, web = ChannelVerbs(), rig.domains.of(ref)
    with pytest.raises(OperationInvalidError, match="not running"):
        verbs.open(web, "a")
    await rig.domains.start(ref)
    with pytest.raises(OperationFailedError, match="was lost when insulad and its keeper were killed"):
        verbs.open(web, "a")


async def test_the_live_definition_says_whether_it_is_open_inside_and_where_its_socket_is(rig: Rig) -> None:
    rig.preparation.consoles = 1
    ref = await rig.domains.create_xml(XML)
    terminals = rig.guest().terminals
    assert rig.domains.dump_xml(ref).count("state='connected'") == 2
    os.close(terminals.pop())
    live = rig.domains.dump_xml(ref)
    assert "name='a' state='connected'" in live and "name='b' state='disconnected'" in live
    paths = [each.path for each in rig.domains.of(ref).require_run().channels]
    assert all(path is None or f"path='{path}'" in live for path in paths)
