"""Documents of clients: hidden values are filled in, and what may not be is refused before anything is made."""

import os
import re

import pytest

from insula.errors import InvalidArgumentError, UnsupportedConfigError
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio


TOKEN = "<os><type>exe</type><init>/sbin/init</init><initenv name='TOKEN'>sesame</initenv></os>"


async def test_a_document_with_hidden_values_is_defined_again_without_losing_them(rig: Rig) -> None:
    ref = await rig.domains.define(re.sub("<os>.*</os>", TOKEN, domain_xml()))
    told = rig.domains.dump_xml(ref, inactive=True)
    assert "sesame" not in told and "TOKEN" in told
    await rig.domains.define(told.replace("<memory", "<title>new</title><memory"))
    whole = rig.domains.dump_xml(ref, inactive=True, secure=True)
    assert "<title>new</title>" in whole and "<initenv name='TOKEN'>sesame</initenv>" in whole


async def test_a_hidden_value_that_nobody_knows_is_refused(rig: Rig) -> None:
    ref = await rig.domains.define(re.sub("<os>.*</os>", TOKEN, domain_xml()))
    told = rig.domains.dump_xml(ref, inactive=True)
    await rig.domains.undefine(ref)
    for verb in (rig.domains.define, rig.domains.create_xml, rig.domains.plan_xml):
        with pytest.raises(UnsupportedConfigError, match="'TOKEN' is hidden in this document"):
            await verb(told)


@pytest.mark.parametrize("partition", ["/system.slice", "/system", "/", "/machine/../system", "/machinery"])
async def test_a_partition_outside_of_what_is_allowed_is_refused(rig: Rig, partition: str) -> None:
    xml = domain_xml(more=f"<resource><partition>{partition}</partition></resource>")
    for verb in (rig.domains.define, rig.domains.create_xml, rig.domains.plan_xml):
        with pytest.raises(UnsupportedConfigError, match="partition"):
            await verb(xml)
    assert rig.domains.list() == []


async def test_a_domain_that_names_no_architecture_has_the_hosts(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    assert f"<type arch='{os.uname().machine}'>exe</type>" in rig.domains.dump_xml(ref, inactive=True)


async def test_an_architecture_whose_programs_do_not_run_here_is_refused(rig: Rig) -> None:
    xml = domain_xml().replace("<type>", "<type arch='vax'>")
    for verb in (rig.domains.define, rig.domains.create_xml, rig.domains.plan_xml):
        with pytest.raises(InvalidArgumentError, match="architecture 'vax' do not run here, only "):
            await verb(xml)
