from typing import Any

import pytest
from lxml import etree

from insula.cli.definition import Wanted, domain_xml, kibibytes, split_bind, split_env, told_by_options
from insula.errors import InvalidArgumentError, XmlError
from insula.model.domain import DomainDefinition
from insula.model.sizes import UNLIMITED_KIB
from insula.model.validate import problems
from insula.service.domainlimits import limits_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512", 512 * 1024),
        ("512m", 512 * 1024),
        ("2g", 2 * 1024**2),
        ("2GiB", 2 * 1024**2),
        ("64k", 64),
        ("1t", 1024**3),
    ],
)
def test_memory_is_read_with_its_unit(text: str, expected: int) -> None:
    assert kibibytes(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1m", "1.5g", "12x", "1mm"])
def test_bad_memory_names_what_was_given(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="memory"):
        kibibytes(text)


def test_bind_mounts_are_read_with_their_access() -> None:
    assert split_bind("/srv:/data") == ("/srv", "/data", False)
    assert split_bind("/srv:/data:ro") == ("/srv", "/data", True)


@pytest.mark.parametrize("text", ["/srv", "srv:/data", "/srv:data", "/srv:/data:maybe", ":/data"])
def test_bad_bind_mounts_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        split_bind(text)


def test_environment_keeps_equal_signs_of_the_value() -> None:
    assert split_env("A=b=c") == ("A", "b=c")
    with pytest.raises(InvalidArgumentError):
        split_env("A")


def test_special_characters_survive_in_the_xml() -> None:
    wanted = Wanted(name="a<b", image=None, root="/srv/it's & <so>", init=("/bin/sh", "-c", 'echo "<&\'>"'))
    root = etree.fromstring(domain_xml(wanted))
    assert root.findtext("name") == "a<b"
    source = root.find("devices/filesystem/source")
    assert source is not None and source.get("dir") == "/srv/it's & <so>"
    assert [each.text for each in root.iterfind("os/initarg")] == ["-c", 'echo "<&\'>"']


def test_a_domain_needs_exactly_one_root() -> None:
    for image, root in ((None, None), ("busybox", "/srv")):
        with pytest.raises(InvalidArgumentError, match="root"):
            domain_xml(Wanted(name="web", image=image, root=root))


def test_a_bridge_and_the_hosts_network_contradict_each_other() -> None:
    with pytest.raises(InvalidArgumentError, match="contradict"):
        domain_xml(Wanted(name="web", image="busybox", root=None, bridges=("br0",), share_network=True))


def test_addresses_of_the_hosts_network_are_a_share_of_it() -> None:
    text = domain_xml(
        Wanted(name="web", image="busybox", root=None, addresses=("192.0.2.7", "2001:db8::7"), ports="80,443")
    )
    share = DomainDefinition.load(text).settings.network_share
    assert share is not None
    assert tuple(map(str, share.addresses)) == ("192.0.2.7", "2001:db8::7")
    assert share.ports == ((80, 80), (443, 443))
    whole = DomainDefinition.load(domain_xml(Wanted(name="web", image="busybox", root=None, addresses=("192.0.2.7",))))
    assert whole.settings.network_share is not None
    assert whole.settings.network_share.ports is None


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({"addresses": ("192.0.2.7",), "bridges": ("br0",)}, "--address and --bridge contradict each other"),
        ({"addresses": ("192.0.2.7",), "share_network": True}, "--share-network and --address contradict each other"),
        ({"ports": "80"}, "--ports belongs to --address"),
    ],
)
def test_a_share_is_the_only_network(wishes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        domain_xml(Wanted(name="web", image="busybox", root=None, **wishes))


def test_a_program_is_a_name_or_an_absolute_path() -> None:
    assert "<init>sh</init>" in domain_xml(Wanted(name="web", image="busybox", root=None, init=("sh", "-c", "true")))
    with pytest.raises(InvalidArgumentError, match=r"'bin/sh' is a relative path: .* such as /bin/sh"):
        domain_xml(Wanted(name="web", image="busybox", root=None, init=("bin/sh",)))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("line 2: /domain/name: found 'a/b', expected 1 to 64 characters", "the name: found 'a/b', expected 1 to 64"),
        ("line 5: /domain/vcpu: found '0', expected more", "--vcpus: found '0'"),
        ("line 11: /domain/devices/filesystem/source/@dir: found 'x', expected y", "--root: found 'x'"),
        ("line 11: /domain/devices/filesystem[2]/source/@dir: found 'x', expected y", "--bind: found 'x'"),
        ("line 6: /domain/metadata/insula:domain/insula:pids/@limit: found '0', expected more", "--pids: found '0'"),
        ("line 8: /domain/os/initdir: found 'x', expected y", "--cwd: found 'x'"),
        ("line 8: /domain/os/init: found 'x', expected y", "the command: found 'x'"),
    ],
)
def test_what_is_wrong_with_an_option_is_told_by_its_name(said: str, told: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught, told_by_options():
        raise XmlError(said)
    assert str(caught.value).startswith(told) and "/domain" not in str(caught.value)


def test_what_no_option_can_be_blamed_for_is_told_as_it_is() -> None:
    with pytest.raises(XmlError, match="something else"), told_by_options():
        raise XmlError("something else")


def test_what_is_written_is_what_the_daemon_reads() -> None:
    wanted = Wanted(
        name="web",
        image="debian-12",
        root=None,
        init=("/bin/sh", "-c", "true"),
        env=(("A", "b"),),
        cwd="/srv",
        user="www-data",
        memory="64m",
        vcpus=2,
        bridges=("br0",),
        binds=(("/srv", "/data", True),),
        privileged=True,
    )
    domain = DomainDefinition.load(domain_xml(wanted))
    assert domain.settings.privileged and domain.memory == 65536 and domain.os.user == "www-data"
    assert domain.root is not None and domain.root.source.name == "debian-12"
    assert [str(each.target) for each in domain.devices.filesystems if each.read_only] != []
    shared = DomainDefinition.load(domain_xml(Wanted(name="web", image="busybox", root=None, share_network=True)))
    assert not problems(domain) and not problems(shared)


def test_limits_can_be_left_out() -> None:
    bare = DomainDefinition.load(domain_xml(Wanted(name="web", image=None, root="/srv", memory="none")))
    assert bare.memory_limit is None and bare.cpu_tune is None and bare.settings.pids_limit is None
    assert limits_of(bare).memory is None


def test_processor_time_and_processes_can_be_limited() -> None:
    limited = DomainDefinition.load(domain_xml(Wanted(name="web", image=None, root="/srv", cpus=1.5, pids=100)))
    assert limited.cpu_tune is not None and (limited.cpu_tune.quota, limited.cpu_tune.period) == (150_000, 100_000)
    assert limited.settings.pids_limit == 100
    with pytest.raises(InvalidArgumentError, match=r"0\.01"):
        domain_xml(Wanted(name="web", image=None, root="/srv", cpus=0))


def test_what_means_no_limit_is_what_the_model_takes_for_it() -> None:
    assert kibibytes("none") == UNLIMITED_KIB


def test_an_interface_in_a_virtual_network_is_asked_for_by_its_name() -> None:
    xml = domain_xml(Wanted(name="web", image="busybox", root=None, networks=("lan", "<odd>"), bridges=("br0",)))
    assert "<interface type='network'>\n      <source network='lan'/>" in xml
    assert "<source network='&lt;odd&gt;'/>" in xml
    assert "<source bridge='br0'/>" in xml
    with pytest.raises(InvalidArgumentError, match="--share-network and --network contradict each other"):
        domain_xml(Wanted(name="web", image="busybox", root=None, networks=("lan",), share_network=True))
