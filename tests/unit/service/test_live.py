"""What only a running domain has appears with the run, and goes with it."""

import os
import re
import stat
from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.model.domain import DomainDefinition
from insula.model.networkport import port_uuid
from insula.model.security import LabelType
from insula.service.live import UNLABELLED, RunFacts, defined, running
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio
FACTS = RunFacts(id=7, connected=(), terminals={})
INTERFACE = "<interface type='bridge'><mac address='52:54:00:aa:bb:cc'/><source bridge='br0'/></interface>"
XML = domain_xml().replace("<devices>", f"<devices>{INTERFACE}<console type='pty'/><console type='pty'/>")


async def test_a_running_domain_has_an_id_terminals_aliases_host_ends_and_a_label(rig: Rig) -> None:
    rig.preparation.consoles = 2
    rig.engine.connected = (
        ConnectedInterface(guest="eth0", host="vnet7", host_index=9, bridge="br0", mac="52:54:00:AA:BB:CC"),
    )
    ref = await rig.domains.create_xml(XML)
    live = rig.domains.dump_xml(ref)

    assert f"<domain type='lxc' id='{ref.id}'>" in live
    assert "<target dev='vnet7'/>" in live
    for alias in ("fs0", "net0", "console0", "console1"):
        assert f"<alias name='{alias}'/>" in live
    terminals = re.findall(r"<console type='pty' tty='(/dev/pts/[0-9]+)'>", live)
    assert len(set(terminals)) == 2
    assert not set(terminals) & {os.ttyname(each) for each in rig.guest().terminals}, "those are the guest's"
    assert "/root/" not in live
    for each in terminals:
        assert f"<source path='{each}'/>" in live
        assert stat.S_IMODE(os.stat(each).st_mode) == 0o600
    assert "<seclabel type='none' model='none'/>" in live


async def test_the_inactive_definition_of_what_runs_has_none_of_that(rig: Rig) -> None:
    rig.preparation.consoles = 2
    ref = await rig.domains.create_xml(XML)
    inactive = rig.domains.dump_xml(ref, inactive=True)

    assert inactive == DomainDefinition.load(XML.replace("<type>", f"<type arch='{os.uname().machine}'>")).dump()
    for word in ("id='", "alias", "tty=", "seclabel", "vnet", "<source path"):
        assert word not in inactive


async def test_what_a_user_chose_is_kept_in_both(rig: Rig) -> None:
    xml = XML.replace("<source bridge='br0'/>", "<source bridge='br0'/><target dev='web0'/><alias name='ua-lan'/>")
    label = "<seclabel type='none' model='selinux'/></domain>"
    ref = await rig.domains.create_xml(xml.replace("</domain>", label))

    for inactive in (False, True):
        text = rig.domains.dump_xml(ref, inactive=inactive)
        assert "<target dev='web0'/>" in text
        assert "<alias name='ua-lan'/>" in text
        assert "model='selinux'" in text


async def test_taking_the_live_facts_away_twice_changes_nothing_more() -> None:
    domain = DomainDefinition.load(XML)

    assert defined(domain) == domain
    assert UNLABELLED not in defined(domain).security_labels


async def test_a_card_of_a_network_shows_its_port_and_what_it_is_plugged_into_while_it_runs(rig: Rig) -> None:
    rig.engine.connected = (
        ConnectedInterface(guest="eth0", host="vnet7", host_index=9, bridge="virbr3", mac="52:54:00:AA:BB:CC"),
    )
    card = INTERFACE.replace("'bridge'><mac", "'network'><mac").replace("bridge='br0'", "network='lan' bridge='old'")
    ref = await rig.domains.create_xml(XML.replace(INTERFACE, card))
    port = port_uuid(ref.uuid, "lan", "52:54:00:aa:bb:cc")
    live = rig.domains.dump_xml(ref)
    assert f"<source network='lan' portid='{port}' bridge='virbr3'/>" in live
    assert "<source network='lan'/>" in rig.domains.dump_xml(ref, inactive=True)
    assert defined(DomainDefinition.load(live)) == DomainDefinition.load(rig.domains.dump_xml(ref, inactive=True))


@pytest.mark.parametrize(
    "chosen", ["", "<seclabel type='dynamic' model='apparmor'/>", "<seclabel type='none' model='dac'/>"]
)
async def test_a_profile_of_the_hosts_choice_is_shown_as_libvirt_does_and_is_no_part_of_the_definition(
    chosen: str,
) -> None:
    domain = DomainDefinition.load(domain_xml().replace("</domain>", f"{chosen}</domain>"))
    live = running(domain, replace(FACTS, profile="insula-guest-1"))
    label = live.security_labels[-1]
    assert (label.type, label.model, label.label, label.image_label) == (
        LabelType.DYNAMIC,
        "apparmor",
        "insula-guest-1",
        "insula-guest-1",
    )
    assert [each.model for each in live.security_labels].count("apparmor") == 1
    left = [each.model for each in defined(live).security_labels]
    assert left == (["dac"] if "dac" in chosen else [])


async def test_a_profile_that_the_definition_names_is_shown_as_it_says() -> None:
    static = "<seclabel type='static' model='apparmor'><label>mine</label></seclabel></domain>"
    domain = DomainDefinition.load(domain_xml().replace("</domain>", static))
    live = running(domain, replace(FACTS, profile="mine"))
    assert live.security_labels == domain.security_labels == defined(live).security_labels
