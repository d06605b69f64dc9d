from pathlib import PurePosixPath

import pytest

from insula.errors import XmlError
from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemType
from insula.model.foreign import ForeignElement
from insula.model.interfaces import InterfaceType
from insula.model.linuxcontainer import converted
from insula.model.xmlsource import parse
from tests.unit.model.corpus import DATA

FORMS = ("linuxcontainer-2007-12", "linuxcontainer-2008-01-first", "linuxcontainer-2008-01-second")
CONTAINER = (
    "<domain type='linuxcontainer'>\n<name>c</name>\n<memory>65536</memory>\n<container>\n"
    "<application>/bin/app</application>\n{}</container></domain>"
)


def loaded(name: str) -> DomainDefinition:
    return DomainDefinition.load((DATA / "domains" / f"{name}.xml").read_text())


def container(inside: str) -> DomainDefinition:
    return DomainDefinition.load(CONTAINER.format(inside))


@pytest.mark.parametrize("name", FORMS)
def test_each_form_becomes_a_domain_of_todays_type(name: str) -> None:
    assert loaded(name).dump().startswith("<domain type='lxc'>")


@pytest.mark.parametrize("name", FORMS[:2])
def test_both_spellings_of_a_mount_say_the_same(name: str) -> None:
    mounts = {(str(each.source.directory), str(each.target)) for each in loaded(name).devices.filesystems}
    assert mounts == {("/home/user/lxc_files/etc", "/etc"), ("/home/user/lxc_files/var", "/var")}


def test_the_third_spelling_is_todays_and_may_be_a_template() -> None:
    root, template = loaded(FORMS[2]).devices.filesystems
    assert (root.type, root.target) == (FilesystemType.MOUNT, PurePosixPath("/"))
    assert (template.type, template.source.name) == (FilesystemType.TEMPLATE, "debian-12")


@pytest.mark.parametrize(
    "inside",
    [
        "<mount>/a = /b</mount>",
        "<mounts><mount>/a=/b</mount></mounts>",
        "<filesystem><mount> /a =/b </mount></filesystem>",
    ],
)
def test_a_mount_may_stand_in_any_box(inside: str) -> None:
    (mount,) = container(inside).devices.filesystems
    assert (str(mount.target), str(mount.source.directory)) == ("/a", "/b")


@pytest.mark.parametrize(
    ("application", "argv"),
    [
        ("/sbin/init", ["/sbin/init"]),
        ("/usr/bin/app --level 3 'two words'", ["/usr/bin/app", "--level", "3", "two words"]),
        ("dbserver", ["/bin/sh", "-c", "exec dbserver"]),
        ("dbserver -p 5432", ["/bin/sh", "-c", "exec dbserver -p 5432"]),
    ],
)
def test_the_application_becomes_the_init(application: str, argv: list[str]) -> None:
    domain = DomainDefinition.load(CONTAINER.format("").replace("/bin/app", application))
    assert [str(domain.os.init), *domain.os.arguments] == argv


@pytest.mark.parametrize("name", FORMS[:2])
def test_shares_and_memory_are_read_inside_and_beside_the_block(name: str) -> None:
    domain = loaded(name)
    assert domain.memory == 65536
    assert domain.cpu_tune is not None
    assert domain.cpu_tune.shares == 40


def test_the_network_becomes_an_interface_and_names_go_to_our_settings() -> None:
    domain = loaded(FORMS[0])
    (card,) = domain.devices.interfaces
    assert card.type is InterfaceType.ETHERNET
    assert [(str(each.address), each.prefix) for each in card.ips] == [("192.168.1.110", 24)]
    assert [(str(each.address), each.prefix, str(each.gateway)) for each in card.routes] == [
        ("0.0.0.0", 0, "192.168.1.1")
    ]
    assert domain.settings.hostname == "browndog"
    assert [str(each) for each in domain.settings.nameservers] == ["192.168.1.1"]


def test_a_bridge_may_be_named_although_the_proposal_did_not() -> None:
    (card,) = loaded(FORMS[1]).devices.interfaces
    assert card.type is InterfaceType.BRIDGE
    assert card.source is not None
    assert card.source.bridge == "br0"


def test_values_may_be_texts_and_a_netmask_may_be_missing() -> None:
    domain = loaded(FORMS[2])
    (ip,) = domain.devices.interfaces[0].ips
    assert (str(ip.address), ip.prefix) == ("192.168.1.110", None)
    assert domain.settings.hostname == "browndog"
    assert len(domain.settings.nameservers) == 2


def test_the_terminal_of_the_host_is_the_daemons_to_choose() -> None:
    (console,) = loaded(FORMS[0]).devices.consoles
    assert console.tty is None


def test_what_nobody_proposed_is_kept() -> None:
    kept = [each.item for each in loaded(FORMS[1]).foreign]
    assert ForeignElement(name="quota", attributes=(("type", "size"), ("max", "10000"))) in kept


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (
            "\n<mount>/etc</mount>",
            "line 7: /domain/container/mount: found '/etc', expected 'GUEST DIRECTORY = HOST DIRECTORY'",
        ),
        ("<application>/b</application>", "line 4: /domain/container: has 2 <application> elements, expected one"),
        ("<network><ip/></network>", "line 6: /domain/container/network/ip: is empty, expected an address"),
        (
            "<network>\n<ip address='192.0.2.1' netmask='255.0.255.0'/></network>",
            "line 7: /domain/container/network/ip/@netmask: found '255.0.255.0', expected a netmask such as",
        ),
        (
            "<network>\n<gateway address='nowhere'/></network>",
            "line 7: /domain/devices/interface/route/@gateway: found 'nowhere'",
        ),
        (
            "<cpushare>half</cpushare>",
            "line 6: /domain/cputune/shares: found 'half', expected a whole number from 2 to",
        ),
        ("<memory>1</memory>", "line 6: /domain/memory[2]: <memory> stands here a second time, expected one"),
        ("\n<filesystem><target dir='/a'/></filesystem>", "line 7: /domain/devices/filesystem: has no <source> in it"),
    ],
)
def test_faults_name_the_line_where_they_stand(inside: str, text: str) -> None:
    with pytest.raises(XmlError) as error:
        container(inside)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(
    ("application", "text"),
    [("", "is empty, expected the program"), ("/bin/sh -c 'half", "expected a command with its quotes closed")],
)
def test_an_application_that_cannot_be_run_is_refused(application: str, text: str) -> None:
    with pytest.raises(XmlError, match=text):
        DomainDefinition.load(CONTAINER.format("").replace("/bin/app", application))


def test_a_domain_without_the_block_is_refused() -> None:
    with pytest.raises(XmlError, match=r"line 1: /domain: has 0 <container> blocks, expected one"):
        converted(parse("<domain type='linuxcontainer'/>"))
