"""Tests of insula.cli.devicecommands."""

import json
from argparse import ArgumentParser

import pytest

from insula.cli import devicecommands
from insula.cli.devicecommands import split_disk, usb_source
from insula.engine.policy.deviceclasses import DEVICE_CLASSES
from insula.errors import DeviceMissingError, InvalidArgumentError
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

RAM = "<filesystem type='ram'><source usage='1'/><target dir='/Cache'/></filesystem>"
DISK = "<disk type='file'><source file='/a'/><target dev='vda'/></disk>"
CARD = "<interface type='bridge'><mac address='52:54:00:11:22:33'/><alias name='net0'/></interface>"
FUSE = "<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>"
USB = "<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc077'/></source></hostdev>"
GRANT = f"<insula:device xmlns:insula='{INSULA_NAMESPACE}' class='gpu'/>"


@pytest.fixture
def client() -> FakeClient:
    """A running domain whose definition lacks the card."""

    def xml(domain: object, flags: int) -> str:
        ours = f"<metadata><insula:domain xmlns:insula='{INSULA_NAMESPACE}'>{GRANT}</insula:domain></metadata>"
        return f"<domain>{ours}<devices>{RAM}{DISK}{FUSE}{USB}{'' if flags else CARD}</devices></domain>"

    return FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_IS_PERSISTENT: 1,
            Remote.DOMAIN_GET_XML_DESC: xml,
            Remote.DOMAIN_ATTACH_DEVICE_FLAGS: None,
            Remote.DOMAIN_DETACH_DEVICE_FLAGS: None,
        }
    )


def run(client: FakeClient, verb: str, *words: str) -> int:
    return devicecommands.RUN[verb](options_of(devicecommands.ARGUMENTS[verb], *words), client.host)


def test_what_is_added_is_said_in_xml_for_the_run_and_the_definition(client: FakeClient) -> None:
    words = ["-v", "/srv/a&b:/data:ro", "--disk", "/img", "--disk", "/dev/sdb:sda:ro", "--device", "/dev/fuse"]
    words += ["--usb", "046d:c077", "--class", "gpu", "--cdi", "v.com/gpu=0"]
    run(client, "device add", "web", *words, "-b", "br0", "-n", "lan")
    assert client.made(Remote.DOMAIN_ATTACH_DEVICE_FLAGS) == [
        (WEB, xml, 3)
        for xml in (
            '<filesystem type=\'mount\'><source dir="/srv/a&amp;b"/><target dir="/data"/><readonly/></filesystem>',
            '<disk type=\'file\'><source file="/img"/><target dev="vdb"/></disk>',
            '<disk type=\'block\'><source dev="/dev/sdb"/><target dev="sda"/><readonly/></disk>',
            FUSE,
            USB,
            f"<insula:device xmlns:insula='{INSULA_NAMESPACE}' class=\"gpu\"/>",
            f"<insula:device xmlns:insula='{INSULA_NAMESPACE}' cdi=\"v.com/gpu=0\"/>",
            "<interface type='bridge'><source bridge=\"br0\"/></interface>",
            "<interface type='network'><source network=\"lan\"/></interface>",
        )
    ]
    with pytest.raises(InvalidArgumentError, match="say what to add"):
        run(client, "device add", "web")


@pytest.mark.parametrize(
    ("name", "xml", "where"),
    [
        ("/Cache", RAM, 3),
        ("vda", DISK, 3),
        ("/dev/vda", DISK, 3),
        ("/dev/fuse", FUSE, 3),
        ("046d:C077", USB, 3),
        ("52:54:00:11:22:33", CARD, 1),
        ("net0", CARD, 1),
        ("GPU", GRANT, 3),
    ],
)
def test_what_is_taken_away_is_known_by_its_names_where_it_is(
    client: FakeClient, name: str, xml: str, where: int
) -> None:
    run(client, "device rm", "web", name)
    run(client, "device rm", "-f", "web", name)
    told = [(xml.replace('"', "'"), flags) for _, xml, flags in client.made(Remote.DOMAIN_DETACH_DEVICE_FLAGS)]
    assert told == [(xml, where), (xml, where | 4)]


def test_what_the_domain_has_not_is_named(client: FakeClient) -> None:
    with pytest.raises(DeviceMissingError, match="'web' has no device 'vdz'"):
        run(client, "device rm", "web", "vdz")
    with pytest.raises(DeviceMissingError, match="'net0'"):
        run(client, "device rm", "--config", "web", "net0")
    assert client.made(Remote.DOMAIN_DETACH_DEVICE_FLAGS) == []


@pytest.mark.parametrize("text", ["img", "/img:", "/img:a:b", "/img:a/b", "/img:ro:ro:ro"])
def test_what_is_no_disk_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="give PATH, PATH:NAME or PATH:NAME:ro"):
        split_disk(text)


@pytest.mark.parametrize(
    ("text", "xml"),
    [
        ("046D:c077", "<vendor id='0x046D'/><product id='0xc077'/>"),
        ("001.004", "<address bus='1' device='4'/>"),
        ("1.12", "<address bus='1' device='12'/>"),
    ],
)
def test_a_usb_device_is_given_by_its_model_or_its_place(text: str, xml: str) -> None:
    assert usb_source(text) == xml


@pytest.mark.parametrize("text", ["", "46d:c077", "046d", "046d:c077'", "1.2.3", "001.0004", "/dev/bus/usb/001/004"])
def test_what_is_no_usb_device_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"give VENDOR:PRODUCT, as 046d:c077, or BUS\.DEVICE"):
        usb_source(text)


def test_the_help_names_every_class_of_devices() -> None:
    parser = ArgumentParser()
    devicecommands.ARGUMENTS["device add"](parser)
    assert ", ".join(DEVICE_CLASSES) in " ".join(parser.format_help().split())


def test_what_the_host_offers_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    offers = [
        {"kind": "class", "name": "kvm", "nodes": ["kvm"], "remarks": [], "problem": None},
        {"kind": "cdi", "name": "v.com/x=0", "nodes": [], "remarks": [], "problem": "asks for a hook"},
    ]
    client = FakeClient({Insula.HOST_DEVICE_CLASSES: json.dumps(offers)})
    run(client, "device classes")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [["kvm", "class", "kvm", "-"], ["v.com/x=0", "cdi", "-", "asks", "for", "a", "hook"]]
    run(client, "device classes", "--filter", "kind=cdi", "-q")
    assert capsys.readouterr().out == "v.com/x=0\n"
