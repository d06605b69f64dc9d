import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import MissingNameError, XmlError
from insula.model.network import NetworkDefinition, completed_network, dump_network, load_network
from insula.model.networkchecks import network_problems
from insula.model.networkforward import ForwardInterface, ForwardMode
from insula.model.scalars import YesNo
from insula.model.xmlmap import Part, facts_of
from tests.unit.model.corpus import DATA, GOLDEN_NETWORKS, NETWORKS, paths_in
from tests.unit.model.strategies import values

NAT = """\
<network connections='3'>
  <name>default</name>
  <uuid>3e3fce45-4f53-4fa7-bb32-11f34168b82b</uuid>
  <forward dev='eth0' mode='nat'>
    <nat>
      <port start='1024' end='65535'/>
    </nat>
    <interface dev='eth0' connections='2'/>
  </forward>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:00:00:01'/>
</network>
"""


def network(inside: str = "", attributes: str = "") -> NetworkDefinition:
    return load_network(f"<network{attributes}><name>n</name>{inside}</network>")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(values(NetworkDefinition))
def test_any_network_survives_dump_and_load_but_for_what_is_filled_in(network: NetworkDefinition) -> None:
    assert load_network(dump_network(network), Part.LIVE) == completed_network(network)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_what_is_kept_of_a_network_is_what_it_always_was(path: Path) -> None:
    kept = dump_network(load_network(path.read_text()), Part.DEFINITION)
    assert kept == (GOLDEN_NETWORKS / path.name).read_text()


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("parts", [Part.DEFINITION, Part.LIVE])
def test_loading_what_was_dumped_changes_nothing(path: Path, parts: Part) -> None:
    network = load_network(path.read_text(), parts)
    dumped = dump_network(network)
    assert load_network(dumped, parts) == network
    assert dump_network(load_network(dumped, parts)) == dumped


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_the_networks_of_the_corpus_can_be_defined(path: Path) -> None:
    assert network_problems(load_network(path.read_text())) == ()


def test_every_golden_file_belongs_to_a_network_of_the_corpus() -> None:
    assert sorted(path.name for path in GOLDEN_NETWORKS.iterdir()) == [path.name for path in NETWORKS]
    assert len(NETWORKS) >= 25


def test_every_fact_of_a_network_stands_in_some_network_of_the_corpus() -> None:
    found = set[str]().union(*(paths_in(path.read_text()) for path in NETWORKS))
    facts = [path for path, _plan in facts_of(NetworkDefinition, "network") if not path.endswith("@floor")]
    assert len(facts) > 150
    assert [path for path in facts if path not in found] == []


def test_every_element_of_a_network_is_in_the_reference() -> None:
    reference = (DATA.parents[1] / "docs/reference/network-xml.md").read_text()
    places = (path.split("/")[1:] for path, _plan in facts_of(NetworkDefinition, "network"))
    elements = {each.removeprefix("@") for parts in places for each in parts if each != "text()"}
    left_out = {"parameters", "managerid", "typeid", "typeidversion", "instanceid", "interfaceid", "profileid"}
    words = set(re.findall(r"[\w:-]+", reference))
    assert sorted(elements - words - left_out) == []


def test_a_live_network_is_written_as_libvirt_wrote_it() -> None:
    text = (DATA / "networks/live.xml").read_text()
    assert dump_network(load_network(text, Part.LIVE)) == text


def test_what_only_an_active_network_has_is_not_in_its_definition() -> None:
    live = load_network(NAT, Part.LIVE)
    assert (live.connections, live.forward and live.forward.interfaces[0].connections) == (3, 2)
    assert dump_network(live) == NAT
    inactive = NAT.replace(" connections='3'", "").replace(" connections='2'", "")
    assert dump_network(live, Part.DEFINITION) == inactive
    assert load_network(NAT) == load_network(inactive)


def test_the_virtual_functions_of_a_device_are_found_at_start_and_never_defined() -> None:
    xml = (
        "<network><name>n</name><forward mode='hostdev' managed='yes'><pf dev='eth3'/>"
        "<address type='pci' domain='0' bus='3' slot='0x10' function='1'/></forward></network>"
    )
    live = load_network(xml, Part.LIVE)
    assert live.forward is not None
    assert [str(each) for each in live.forward.addresses] == ["0000:03:10.1"]
    assert "<address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x1'/>" in dump_network(live)
    assert "pci" not in dump_network(live, Part.DEFINITION)
    kept = load_network(xml).forward
    assert kept is not None
    assert kept.addresses == ()


@pytest.mark.parametrize("mode", ["", "<forward/>", "<forward mode='route'/>", "<forward mode='open'/>"])
def test_a_network_with_a_bridge_of_its_own_gets_what_libvirt_gives_it(mode: str) -> None:
    filled = network(f"<uuid>3e3fce45-4f53-4fa7-bb32-11f34168b82b</uuid>{mode}")
    assert "<bridge stp='on' delay='0'/>" in dump_network(filled)
    assert filled.mac == network("<uuid>3e3fce45-4f53-4fa7-bb32-11f34168b82b</uuid>").mac
    assert filled.mac is not None
    assert filled.mac.startswith("52:54:00:")
    assert filled.bridge_name is None


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthrough", "hostdev"])
def test_one_that_uses_what_the_host_has_gets_no_bridge(mode: str) -> None:
    plain = network(f"<forward mode='{mode}'/>")
    assert (plain.bridge, plain.mac, plain.mode) == (None, None, ForwardMode(mode))
    assert plain.forward is not None
    assert plain.forward.managed == (YesNo.NO if mode == "hostdev" else None)


def test_a_forwards_device_is_the_first_of_its_interfaces() -> None:
    named = network("<forward mode='bridge' dev='eth0'/>").forward
    assert named is not None
    assert named.interfaces == (ForwardInterface(device="eth0"),)
    assert network("<forward mode='bridge'><interface dev='eth0'/></forward>").forward == named


def test_a_forward_of_mode_none_is_none() -> None:
    assert network("<forward mode='none'/>").forward is None
    assert network().mode is ForwardMode.NONE


@pytest.mark.parametrize(
    ("xml", "kind", "text"),
    [
        ("<domain/>", XmlError, "the document is a <domain>, expected a <network>"),
        ("<network><name> </name></network>", MissingNameError, "line 1: /network: has no <name>"),
        ("<network>\n<name>a/b</name>\n</network>", XmlError, "line 2: /network/name: found 'a/b'"),
        ("<network>\n<name>n</name>\n<mtu size='9'/></network>", Exception, "line 3: .*from 68 to 65535"),
        ("<network>\n<name>n</name>\n<forward mode='x'/></network>", XmlError, "line 3: .*one of 'none', 'nat'"),
        ("<network><name>n</name>\n<ip address='1.2.3'/></network>", XmlError, "line 2: .*expected an IP address"),
    ],
)
def test_errors_name_the_line_and_come_from_the_network_driver(xml: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        load_network(xml)
    assert getattr(caught.value, "domain", None) is ErrorDomain.NETWORK


def test_a_network_without_a_name_has_libvirts_number() -> None:
    with pytest.raises(MissingNameError) as caught:
        load_network("<network/>")
    assert caught.value.code is ErrorCode.NO_NAME


def test_what_nobody_understands_is_kept_in_its_place() -> None:
    kept = network("<!--why--><future a='1'><b/></future><bridge name='br7' shape='round'/>", " new='yes'")
    written = dump_network(kept)
    for each in ("<!--why-->", "<future a='1'>", "shape='round'", " new='yes'"):
        assert each in written
    assert load_network(written) == kept


def test_options_for_dnsmasq_declare_their_namespace_where_libvirt_does() -> None:
    options = "<d:options xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'><d:option value='a=b'/></d:options>"
    written = dump_network(network(options))
    assert written.startswith("<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>\n")
    assert "  <dnsmasq:options>\n    <dnsmasq:option value='a=b'/>\n" in written


def test_our_settings_stand_in_the_metadata_beside_those_of_others() -> None:
    ours = "<i:network xmlns:i='https://insula.dev/xmlns/domain/1'><i:forward start='80' to='192.0.2.7'/></i:network>"
    both = network(f"<metadata><x:y xmlns:x='urn:x'/>{ours}</metadata>")
    assert [str(each.to) for each in both.settings.port_forwards] == ["192.0.2.7"]
    assert "<x:y xmlns:x='urn:x'/>" in dump_network(both)
    assert network().settings.port_forwards == ()
