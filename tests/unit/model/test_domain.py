import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from insula.errors import UnsupportedConfigError, XmlError
from insula.model import domain as domain_module
from insula.model.boot import CrashAction, OffAction, Os, OsType
from insula.model.devices import DEFAULT_EMULATOR, Console, Devices
from insula.model.domain import DEVICES_MAX, MAC_PREFIX, DomainDefinition, completed
from insula.model.extensions import InsulaSettings, Metadata
from insula.model.filesystems import Filesystem, FilesystemSource
from insula.model.interfaces import AddressFamily
from insula.model.numbers import XmlFlags
from insula.model.scalars import DomainName
from insula.model.sizes import KiB
from insula.model.validate import problems
from insula.model.xmlmap import Part
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlsource import parse
from tests.unit.model.corpus import DATA, DOMAINS, GOLDEN
from tests.unit.model.strategies import values

EVERYTHING = Part.LIVE | Part.SECRET
MINIMAL = "<domain type='lxc'>\n<name>x</name>\n<memory>65536</memory>\n<os><type>exe</type></os>\n{}</domain>"


def named(name: str) -> str:
    return (DATA / "domains" / f"{name}.xml").read_text()


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: path.stem)
def test_what_is_kept_of_a_domain_is_what_it_always_was(path: Path) -> None:
    kept = DomainDefinition.load(path.read_text()).dump(XmlFlags.INACTIVE | XmlFlags.SECURE)
    assert kept == (GOLDEN / path.name).read_text()


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: path.stem)
@pytest.mark.parametrize("parts", [Part.DEFINITION, EVERYTHING])
def test_loading_what_was_dumped_changes_nothing(path: Path, parts: Part) -> None:
    domain = DomainDefinition.load(path.read_text(), parts)
    dumped = domain.dump(XmlFlags.SECURE)
    assert DomainDefinition.load(dumped, parts) == domain
    assert DomainDefinition.load(dumped, parts).dump(XmlFlags.SECURE) == dumped


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(values(DomainDefinition))
def test_any_domain_survives_dump_and_load_but_for_what_is_filled_in(domain: DomainDefinition) -> None:
    assert DomainDefinition.load(domain.dump(XmlFlags.SECURE), EVERYTHING) == completed(domain)


def test_every_golden_file_belongs_to_a_domain_of_the_corpus() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == [path.name for path in DOMAINS]
    assert len(DOMAINS) >= 20


def test_a_live_domain_is_written_as_libvirt_wrote_it() -> None:
    assert DomainDefinition.load(named("live"), Part.LIVE).dump() == named("live")


@pytest.mark.parametrize("flags", [XmlFlags.INACTIVE, XmlFlags.MIGRATABLE])
def test_what_only_runs_is_not_in_a_definition(flags: XmlFlags) -> None:
    written = DomainDefinition.load(named("live"), Part.LIVE).dump(flags)
    for gone in ("id='48213'", "vnet7", "actual=", "net0", "console0", "/dev/pts", "portid", "imagelabel"):
        assert gone not in written
    for kept in ("mail-host", "ua-mail"):
        assert kept in written


def test_a_password_is_shown_only_to_those_who_may_see_it() -> None:
    domain = DomainDefinition.load(named("virtual-machine-leftovers"))
    assert "sesame" not in domain.dump(XmlFlags.INACTIVE)
    assert "passwd='sesame'" in domain.dump(XmlFlags.INACTIVE | XmlFlags.SECURE)


def test_a_minimal_domain_gets_libvirts_defaults() -> None:
    domain = DomainDefinition.load(named("minimal"))
    assert domain.current_memory == domain.memory == 65536
    assert domain.vcpu.count == 1
    assert domain.os.init == PurePosixPath("/sbin/init")
    assert (domain.on_poweroff, domain.on_reboot, domain.on_crash) == (
        OffAction.DESTROY,
        OffAction.RESTART,
        CrashAction.DESTROY,
    )
    assert domain.devices.emulator == DEFAULT_EMULATOR
    assert len(domain.devices.consoles) == 1
    assert domain.root is None
    assert domain.settings == InsulaSettings()


def test_a_uuid_is_made_for_a_domain_without_one() -> None:
    one, other = (DomainDefinition.load(MINIMAL.format("")) for _ in range(2))
    assert one.uuid.version == 4
    assert one.uuid != other.uuid


def test_current_memory_is_never_above_memory() -> None:
    assert DomainDefinition.load(MINIMAL.format("<currentMemory>999999</currentMemory>")).current_memory == 65536
    assert DomainDefinition.load(MINIMAL.format("<currentMemory>1024</currentMemory>")).memory_now == 1024


@pytest.mark.parametrize(
    ("hard", "limit"), [("", 1024), ("<hard_limit>512</hard_limit>", 512), ("<hard_limit>9999</hard_limit>", 1024)]
)
def test_the_limit_is_the_present_memory_or_a_lower_hard_limit(hard: str, limit: int) -> None:
    inside = f"<currentMemory>1024</currentMemory><memtune>{hard}</memtune>"
    assert DomainDefinition.load(MINIMAL.format(inside)).memory_limit == limit


def test_choosing_addresses_for_many_cards_costs_one_hash_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def counting(data: bytes) -> Any:
        hashed.append(data)
        return sha256(data)

    monkeypatch.setattr(domain_module, "sha256", counting)
    DomainDefinition.load(MINIMAL.format("<devices>" + "<interface type='user'/>" * 1000 + "</devices>"))
    assert len(hashed) < 1010


@pytest.mark.parametrize("device", ["<interface type='user'/>", "<console type='pty'/>", "<sound model='x'/>"])
def test_a_domain_with_too_many_devices_is_refused(device: str) -> None:
    with pytest.raises(XmlError, match=rf"102\d devices, more than the {DEVICES_MAX}"):
        DomainDefinition.load(MINIMAL.format("<devices>" + device * DEVICES_MAX + "<input/></devices>"))


def test_a_domain_with_as_many_devices_as_there_may_be_can_be_read_again() -> None:
    most = DomainDefinition.load(
        MINIMAL.format("<devices>" + "<interface type='user'/>" * (DEVICES_MAX - 1) + "</devices>")
    )
    assert DomainDefinition.load(most.dump()) == most


def test_cards_without_an_address_get_different_ones_and_always_the_same() -> None:
    uuid = "<uuid>0d4f2a52-9f43-4cbb-9c44-4a6ce2a7a001</uuid>"
    xml = MINIMAL.format(uuid + "<devices>" + "<interface type='user'/>" * 3 + "</devices>")
    macs = [each.mac for each in DomainDefinition.load(xml).devices.interfaces]
    assert len(set(macs)) == 3
    assert all(mac is not None and re.fullmatch(rf"{MAC_PREFIX}(:[0-9a-f]{{2}}){{3}}", mac) for mac in macs)
    assert macs == [each.mac for each in DomainDefinition.load(xml).devices.interfaces]
    assert macs != [each.mac for each in DomainDefinition.load(xml.replace("0d4f2a52", "1d4f2a52")).devices.interfaces]


def test_an_address_is_given_its_family() -> None:
    card = DomainDefinition.load(named("linuxcontainer-2007-12")).devices.interfaces[0]
    assert card.ips[0].family is AddressFamily.IPV4


def test_a_consoles_port_is_its_place_whatever_stood_there() -> None:
    consoles = "<devices><console type='pty'/><console type='pty'><target port='7'/></console><console/></devices>"
    ports = [
        each.target.port for each in DomainDefinition.load(MINIMAL.format(consoles)).devices.consoles if each.target
    ]
    assert ports == [0, 1, 2]


def test_the_root_is_the_file_system_at_the_slash() -> None:
    root = DomainDefinition.load(named("filesystem-kinds")).root
    assert root is not None
    assert root.source.name == "debian-12"


def test_our_settings_are_read_from_the_metadata() -> None:
    domain = DomainDefinition.load(named("insula-settings"))
    assert domain.settings.privileged
    assert domain.settings.pids_limit == 512
    assert [str(each) for each in domain.settings.nameservers] == ["192.0.2.53", "2001:db8::53"]


def test_a_domain_is_built_in_code_and_then_written() -> None:
    root = Filesystem(source=FilesystemSource(directory=PurePosixPath("/srv/web")), target=PurePosixPath("/"))
    domain = DomainDefinition(
        name=DomainName("web"),
        uuid=UUID("0d4f2a52-9f43-4cbb-9c44-4a6ce2a7a001"),
        memory=KiB(1024),
        os=Os(type=OsType()),
        metadata=Metadata(settings=InsulaSettings(privileged=True)),
        devices=Devices(filesystems=(root,), consoles=(Console(),)),
    )
    assert domain.root == root
    assert DomainDefinition.load(domain.dump()) == completed(domain)
    assert replace(domain, name=DomainName("mail")).dump() == domain.dump().replace(">web<", ">mail<")


BAD = {
    "not a domain": ("<network/>", "line 1: /network: the document is a <network>, expected a <domain>"),
    "another hypervisor": (
        MINIMAL.format("").replace("'lxc'", "'kvm'"),
        "line 1: /domain/@type: found 'kvm', expected one of 'lxc'",
    ),
    "no name": (
        MINIMAL.format("").replace("<name>x</name>", ""),
        "line 1: /domain: has no <name> in it, expected 1 to 64",
    ),
    "a name with a slash": (
        MINIMAL.format("").replace(">x<", ">a/b<"),
        "line 2: /domain/name: found 'a/b', expected 1",
    ),
    "no memory": (
        MINIMAL.format("").replace("<memory>65536</memory>", ""),
        "line 1: /domain: has no <memory> in it, expected a size: a whole number, with a unit such as KiB",
    ),
    "memory in words": (
        MINIMAL.format("").replace("65536", "plenty"),
        "line 3: /domain/memory: found 'plenty', expected a size",
    ),
    "another kind of system": (
        MINIMAL.format("").replace("exe", "xen"),
        "line 4: /domain/os/type: found 'xen', expected one of 'exe', 'hvm'",
    ),
    "no system": (MINIMAL.format("").replace("<os><type>exe</type></os>", ""), "line 1: /domain: has no <os> in it"),
    "no system type": (MINIMAL.format("").replace("<type>exe</type>", ""), "line 4: /domain/os: has no <type> in it"),
    "a relative init": (
        MINIMAL.format("").replace("</type>", "</type><init>bin/init</init>"),
        "line 4: /domain/os/init: found 'bin/init', expected an absolute path, or a name",
    ),
    "a broken UUID": (MINIMAL.format("<uuid>1234</uuid>"), "line 5: /domain/uuid: found '1234', expected a UUID"),
    "two names": (MINIMAL.format("<name>y</name>"), "line 5: /domain/name[2]: <name> stands here a second time"),
    "an odd cpuset": (
        MINIMAL.format("<vcpu cpuset='3-1'>1</vcpu>"),
        "line 5: /domain/vcpu/@cpuset: found '3-1', expected a list of numbers such as 0-3,^2,8",
    ),
    "no vcpu at all": (
        MINIMAL.format("<vcpu>0</vcpu>"),
        "line 5: /domain/vcpu: found '0', expected a whole number from 1 to 4096",
    ),
    "shares beyond the kernel's": (
        MINIMAL.format("<cputune>\n<shares>1</shares></cputune>"),
        "line 6: /domain/cputune/shares: found '1', expected a whole number from 2 to 262144",
    ),
    "an unknown action": (
        MINIMAL.format("<on_crash>pray</on_crash>"),
        "line 5: /domain/on_crash: found 'pray', expected one of 'destroy', 'restart', 'preserve'",
    ),
    "an unknown file system": (
        MINIMAL.format("<devices>\n<filesystem type='floppy'><source/><target dir='/'/></filesystem></devices>"),
        "line 6: /domain/devices/filesystem/@type: found 'floppy', expected one of 'mount', 'template'",
    ),
    "no target": (
        MINIMAL.format("<devices>\n<filesystem>\n<source dir='/a'/></filesystem></devices>"),
        "line 6: /domain/devices/filesystem: has no <target/@dir> in it",
    ),
    "a multicast card": (
        MINIMAL.format("<devices><interface type='user'>\n<mac address='01:00:5e:00:00:01'/></interface></devices>"),
        "line 6: /domain/devices/interface/mac/@address: found '01:00:5e:00:00:01', expected a unicast MAC address",
    ),
    "half an address": (
        MINIMAL.format("<devices><interface type='user'>\n\n<ip address='192.0.2'/></interface></devices>"),
        "line 7: /domain/devices/interface/ip/@address: found '192.0.2', expected an IP address",
    ),
    "an id range of nothing": (
        MINIMAL.format("<idmap><uid start='0' target='1' count='0'/></idmap>"),
        "line 5: /domain/idmap/uid/@count: found '0', expected a whole number from 1 to 4294967295",
    ),
    "an undecided capability": (
        MINIMAL.format("<features><capabilities><mknod state='maybe'/></capabilities></features>"),
        "line 5: /domain/features/capabilities/mknod/@state: found 'maybe', expected one of 'on', 'off'",
    ),
    "text where an attribute says all": (
        MINIMAL.format("<devices>\n<filesystem><source dir='/a'/><target dir='/'>oops</target></filesystem></devices>"),
        "line 6: /domain/devices/filesystem/target: found the text 'oops', expected nothing in it",
    ),
    "our own settings, wrong": (
        MINIMAL.format(
            "<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'>\n"
            "<i:pids limit='0'/></i:domain></metadata>"
        ),
        "line 6: /domain/metadata/i:domain/i:pids/@limit: found '0', expected a whole number from 1 to 4194304",
    ),
}


@pytest.mark.parametrize(("xml", "text"), BAD.values(), ids=BAD)
def test_bad_xml_is_refused_with_line_finding_and_expectation(xml: str, text: str) -> None:
    with pytest.raises((XmlError, UnsupportedConfigError)) as error:
        DomainDefinition.load(xml)
    assert str(error.value).startswith(text)


def test_a_live_value_that_is_wrong_is_not_passed_over() -> None:
    with pytest.raises(XmlError, match=r"/domain/@id: found 'seven'"):
        DomainDefinition.load(MINIMAL.format("").replace("'lxc'", "'lxc' id='seven'"))


CLASHES = [
    "<os><type>exe</type><initenv name='A' insula:hidden='' xmlns:insula='g'>e</initenv></os>",
    "<os insula:x='1' insula1:x='2' xmlns:insula='g' xmlns:insula1='h'><type>exe</type></os>",
    "<os lxc:x='1' insula:x='2' xmlns:lxc='g' xmlns:insula='h'><type>exe</type><lxc:y xmlns:lxc='i'/></os>",
    "<os lxc:x='1' xmlns:lxc='g'><type lxc:y='1'>exe</type></os>",
]


@pytest.mark.parametrize("os", CLASHES)
@pytest.mark.parametrize("own", ["", "<lxc:namespace xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'/>"])
def test_our_prefixes_may_be_those_of_strangers(os: str, own: str) -> None:
    document = parse(MINIMAL.format(own).replace("<os><type>exe</type></os>", os))
    domain = DomainDefinition.load(etree.tostring(document, encoding="unicode"))
    dumped = domain.dump(XmlFlags.SECURE)
    assert DomainDefinition.load(dumped).dump(XmlFlags.SECURE) == dumped

    def strangers(root: etree._Element) -> list[tuple[str, str]]:
        return sorted((str(k), str(v)) for each in root.iter("{*}*") for k, v in each.items() if str(k)[0] == "{")

    assert strangers(parse(dumped)) == strangers(document)
    assert problems(domain) == problems(DomainDefinition.load(dumped))


def test_a_namespace_is_declared_once_however_many_strangers_are_of_it() -> None:
    ours = f"<metadata><insula:domain xmlns:insula='{INSULA_NAMESPACE}'>{{}}</insula:domain></metadata>"
    domain = DomainDefinition.load(
        MINIMAL.format(ours.format("<insula:odd insula:x=''><insula:y/></insula:odd>" * 100))
    )
    dumped = domain.dump()
    assert dumped.count("xmlns:insula=") == 1
    assert DomainDefinition.load(dumped) == domain


def test_what_those_see_who_may_not_see_values_can_be_defined() -> None:
    variables = "".join(f"<initenv name='V{number}'>secret</initenv>" for number in range(200))
    domain = DomainDefinition.load(MINIMAL.format("").replace("</os>", f"{variables}</os>"))
    shown = domain.dump(XmlFlags.LIVE)
    assert "secret" not in shown
    again = DomainDefinition.load(shown)
    assert replace(again, os=again.os.revealed(domain.os)) == domain
