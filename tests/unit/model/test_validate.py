from dataclasses import replace

import pytest

from insula.errors import UnsupportedConfigError
from insula.model.domain import DEVICES_MAX, DomainDefinition
from insula.model.interfaces import Interface, InterfaceType
from insula.model.validate import CHECKS, problems, validate
from tests.unit.model.corpus import DOMAINS

INSULA = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
HIDDEN = "insula:hidden='yes'"


def domain(
    inside: str = "", devices: str = "", memory: str = "65536", os: str = "<type>exe</type>"
) -> DomainDefinition:
    return DomainDefinition.load(
        f"<domain type='lxc'><name>x</name><memory>{memory}</memory><os>{os}</os>{inside}"
        f"<devices>{devices}</devices></domain>"
    )


def filesystem(source: str, target: str, kind: str = "mount") -> str:
    return f"<filesystem type='{kind}'><source {source}/><target dir='{target}'/></filesystem>"


def ids(uids: str, gids: str = "<gid start='0' target='1000' count='1'/>") -> str:
    return f"<idmap>{uids}{gids}</idmap>"


def settings(inside: str) -> str:
    return f"<metadata><insula:domain {INSULA}>{inside}</insula:domain></metadata>"


FORWARD = "<portForward proto='tcp'><range {}/></portForward>"


def interface(inside: str, kind: str = "user") -> str:
    return f"<interface type='{kind}'>{inside}</interface>"


def test_a_plain_domain_has_no_problems() -> None:
    assert problems(domain(devices=filesystem("dir='/srv/x'", "/"))) == ()
    validate(domain())


def test_the_corpus_has_no_problems_but_nanoseconds() -> None:
    found = {path.stem: problems(DomainDefinition.load(path.read_text())) for path in DOMAINS}
    assert {name: each for name, each in found.items() if each} == {
        "insula-settings": (
            "a clock's shift is in whole seconds: nanoseconds cannot be had",
            "the readiness is known in one way: choose one of notify, port and command",
            "the health is known in one way: choose one of port and command",
        ),
    }


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (domain("<title>a\nb</title>"), "the title has several lines"),
        (domain("<title>a\u009b31mb</title>"), "the title holds U+009B"),
        (domain("<title>a\u202eb</title>"), "the title holds U+202E"),
        (domain(devices=interface("<alias name='ua-a\u202eb'/>")), "cannot be the alias of a device"),
        (domain(devices=interface("<alias name='ua-a'/>") * 2), "two devices have the alias 'ua-a'"),
        (domain(devices=interface(FORWARD.format("start='9' end='3'"))), "ports 9 to 3, which are none"),
        (domain(devices=interface(FORWARD.format("start='9' to='8' exclude='yes'"))), "and leaves them out"),
        (domain(devices=interface(FORWARD.format("start='1' end='9' to='65530'"))), "beyond the guest's last one"),
        (domain(memory="0"), "the memory is 0"),
        (
            domain("<memtune><hard_limit>9</hard_limit><swap_hard_limit>8</swap_hard_limit></memtune>"),
            "below its hard_limit",
        ),
        (domain("<vcpu current='3'>2</vcpu>"), "3 vcpus are to be in use, but there are only 2"),
        (domain("<resource><partition>/../../x</partition></resource>"), "the partition /../../x climbs with '..'"),
        (domain(os="<type>exe</type><initenv name='A B'>1</initenv>"), "'A B' cannot name an environment variable"),
        (domain(os="<type>exe</type><initenv name='A'/><initenv name='A'/>"), "variable 'A' is set twice"),
        (
            domain(os=f"<type>exe</type><initenv name='A' {INSULA} insula:hidden='yes'/>"),
            "the value of the environment variable 'A' is hidden",
        ),
        (domain(devices=filesystem("name='x'", "/")), "the filesystem at / is of type mount and has no source dir"),
        (domain(devices=filesystem("dir='/x'", "/", "template")), "type template and has no source name"),
        (domain(devices=filesystem("dir='/x'", "/a", "file")), "type file and has no source file"),
        (domain(devices=filesystem("dir='/x'", "/a", "block")), "type block and has no source dev"),
        (domain(devices=filesystem("dir='/x'", "/a", "ram")), "type ram and has no source usage"),
        (domain(devices=filesystem("pool='x'", "/a", "volume")), "type volume and has no source pool and volume"),
        (domain(devices=filesystem("usage='0'", "/a", "ram")), "the ram filesystem at /a has the size 0"),
        (domain(devices=filesystem("dir='/a'", "/") * 2), "there are two filesystems for the root"),
        (
            domain(devices=filesystem("dir='/a'", "/x") + filesystem("dir='/b'", "/x/")),
            "there are two filesystems for the target /x",
        ),
        (domain(devices=filesystem("dir='/a'", "/x/../y")), "the target /x/../y climbs with '..'"),
        (domain(ids("<uid start='1' target='1' count='1'/>")), "has no uid range that starts at 0"),
        (domain(ids("<uid start='0' target='1' count='1'/>", "")), "has no gid range that starts at 0"),
        (domain(ids("<uid start='0' target='4294967295' count='2'/>")), "a uid range of the idmap runs past"),
        (
            domain(ids("<uid start='0' target='1' count='10'/><uid start='9' target='100' count='1'/>")),
            "two uid ranges of the idmap overlap in the guest",
        ),
        (
            domain(ids("<uid start='0' target='1' count='10'/><uid start='10' target='10' count='1'/>")),
            "two uid ranges of the idmap overlap on the host",
        ),
        (
            domain(settings("<insula:privileged/>") + ids("<uid start='0' target='1' count='1'/>")),
            "privileged and has an idmap",
        ),
        (
            domain("<features><capabilities><fly state='on'/></capabilities></features>"),
            "'fly' is no capability",
        ),
        (
            domain("<features><capabilities><kill state='on'/><kill state='off'/></capabilities></features>"),
            "the capability 'kill' is set twice",
        ),
        (
            domain(devices="<console><log file='/l'/></console>" * 2),
            "two consoles have the log '/l'",
        ),
        (domain(devices="<console><log file='/a/../l'/></console>"), "without '..'"),
        (
            domain(
                devices="<console><log file='/srv/data/l'/></console>"
                "<filesystem><source dir='/srv/data'/><target dir='/data'/></filesystem>"
            ),
            "is in a directory that the guest has",
        ),
        (
            domain(devices="<disk type='file'><source file='/a'/><target dev='sda'/></disk>" * 2),
            "two disks are called 'sda' in the guest",
        ),
        (
            domain(devices="<hostdev mode='capabilities' type='misc'><source><block>/dev/x</block></source></hostdev>"),
            "hostdev 1, mode capabilities, type misc, does not name the device",
        ),
        (domain("<seclabel type='static' model='apparmor'/>"), "of model 'apparmor' has no label"),
        (
            domain(
                devices="<filesystem type='ram' xmlns:i='https://insula.dev/xmlns/domain/1' i:idmap='off'>"
                "<source usage='1' units='MiB'/><target dir='/a'/></filesystem>"
            ),
            "of type ram, has insula:idmap, which means nothing there",
        ),
        (
            domain("<seclabel type='none' model='dac'/>" * 2),
            "there are two security labels of model 'dac'",
        ),
    ],
)
def test_each_problem_is_the_only_one_found_and_is_named(bad: DomainDefinition, text: str) -> None:
    found = problems(bad)
    assert len(found) == 1
    assert text in found[0]


@pytest.mark.parametrize(
    "device",
    [
        "<hostdev mode='capabilities' type='storage'><source><block>/dev/x</block></source></hostdev>",
        "<hostdev mode='capabilities' type='net'><source><interface>e</interface></source></hostdev>",
        "<hostdev type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>",
        "<hostdev type='usb'><source><address bus='1' device='2'/></source></hostdev>",
    ],
)
def test_a_host_device_that_is_named_is_no_problem(device: str) -> None:
    assert problems(domain(devices=device)) == ()


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(UnsupportedConfigError, match=r"the memory is 0; .*; the ram filesystem at /a has the size 0"):
        validate(domain(memory="0", devices=filesystem("usage='0'", "/a", "ram")))


def test_a_device_more_than_there_may_be_is_a_problem() -> None:
    most = domain(devices=interface("") * (DEVICES_MAX - 1))
    assert problems(most) == ()
    one_more = replace(most.devices, interfaces=(*most.devices.interfaces, Interface(type=InterfaceType.USER)))
    assert any(f"{DEVICES_MAX + 1} devices" in each for each in problems(replace(most, devices=one_more)))


def channel(name: str, source: str = "", kind: str = "unix", target: str = "virtio") -> str:
    return f"<channel type='{kind}'>{source}<target type='{target}' name='{name}'/></channel>"


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        (channel("a") + channel("a"), "two channels have the name 'a'"),
        (channel("../a"), "'../a' cannot be the name of a channel"),
        (channel("a/b"), "'a/b' cannot be the name of a channel"),
        (channel("a", "<source mode='bind' path='/a/../s'/>"), "must be a path without '..'"),
        (filesystem("dir='/srv'", "/") + channel("a", "<source path='/srv/s'/>"), "outside what the guest has"),
    ],
)
def test_a_channel_that_cannot_be_is_told(devices: str, problem: str) -> None:
    assert any(problem in each for each in problems(domain(devices=devices)))


@pytest.mark.parametrize("other", [channel("a b", kind="spicevmc"), channel("a/b", target="xen")])
def test_a_channel_of_a_virtual_machine_is_only_kept(other: str) -> None:
    assert not [each for each in problems(domain(devices=other)) if "channel" in each]
    assert "<channel" in domain(devices=other).dump()


def test_the_socket_of_a_run_is_no_part_of_a_definition() -> None:
    path = "/run/insula/domains/00000000-0000-0000-0000-000000000001/channel0"
    kept = domain(devices=channel("a", f"<source mode='bind' path='{path}'/>"))
    assert path not in kept.dump() and "name='a'" in kept.dump()


def test_every_check_is_in_the_list_once() -> None:
    assert len(set(CHECKS)) == len(CHECKS) == 38


def test_what_was_looked_through_is_not_looked_through_again_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[DomainDefinition] = []

    def look(each: DomainDefinition) -> tuple[str, ...]:
        looked.append(each)
        return ("it is odd",)

    monkeypatch.setattr("insula.model.validate.CHECKS", (look,))
    first = domain()
    changed = replace(first, title="another")
    assert [problems(each) for each in (first, first, changed)] == [("it is odd",)] * 3
    assert looked == [first, changed]
