import pytest

from insula.errors import UnsupportedConfigError, XmlError
from insula.model.extensions import (
    ClockShift,
    DefinedCoreDumps,
    DefinedLimit,
    DefinedShare,
    InsulaSettings,
    KernelSetting,
    LxcNamespace,
    Metadata,
    ShareType,
    TimeNamespace,
)
from insula.model.scalars import UNLIMITED
from insula.model.sizes import KiB
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump

OURS = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
LXC = "xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'"


def settings(inside: str) -> InsulaSettings:
    return load(InsulaSettings, "insula:domain", f"<insula:domain {OURS}>{inside}</insula:domain>")


def test_namespaces_are_shared_by_name_by_domain_or_by_process() -> None:
    shared = load(
        LxcNamespace,
        "lxc:namespace",
        f"<lxc:namespace {LXC}><lxc:sharenet type='netns' value='red'/>"
        "<lxc:shareuts type='pid' value='7'/></lxc:namespace>",
    )
    assert shared.network == DefinedShare(type=ShareType.NETNS, value="red")
    assert shared.uts == DefinedShare(type=ShareType.PID, value="7")
    assert shared.ipc is None


def test_a_namespace_is_known_by_its_uri_not_by_its_prefix() -> None:
    xml = f"<x:namespace {LXC.replace(':lxc=', ':x=')}><x:shareipc type='name' value='a'/></x:namespace>"
    assert load(LxcNamespace, "lxc:namespace", xml).ipc == DefinedShare(type=ShareType.NAME, value="a")


def test_nothing_is_privileged_or_limited_unless_it_says_so() -> None:
    assert InsulaSettings() == settings("")
    assert not InsulaSettings().privileged


def test_our_settings_are_read() -> None:
    read = settings(
        "<insula:privileged/><insula:pids limit='9'/><insula:nameserver address='192.0.2.1'/>"
        "<insula:timens><insula:boottime seconds='-5'/></insula:timens>"
    )
    assert read.privileged
    assert read.pids_limit == 9
    assert [str(each) for each in read.nameservers] == ["192.0.2.1"]
    assert read.time_namespace == TimeNamespace(boot_time=ClockShift(seconds=-5))


def test_a_share_of_the_hosts_network_has_addresses_and_maybe_ports() -> None:
    share = settings("<insula:share-network addresses='192.0.2.7, 2001:db8::7' ports='80 8000-8099'/>").network_share
    assert share is not None
    assert [str(each) for each in share.addresses] == ["192.0.2.7", "2001:db8::7"]
    assert share.ports == ((80, 80), (8000, 8099))
    written = dump(InsulaSettings(network_share=share), "insula:domain")
    assert 'addresses="192.0.2.7 2001:db8::7" ports="80 8000-8099"' in written.replace("'", '"')
    for wrong in ("addresses='192.0.2'", "addresses='192.0.2.7' ports='-1'", "addresses='192.0.2.7' ports='http'"):
        with pytest.raises(XmlError, match="expected"):
            settings(f"<insula:share-network {wrong}/>")


def test_core_dumps_have_a_place_and_a_limit() -> None:
    read = settings("<insula:coredumps pattern='/c/%e'><insula:limit unit='MiB'>2</insula:limit></insula:coredumps>")
    assert read.core_dumps == DefinedCoreDumps(pattern="/c/%e", limit=KiB(2048))
    assert settings("<insula:coredumps pattern='/c/%e'/>").core_dumps == DefinedCoreDumps(pattern="/c/%e")
    assert settings("").core_dumps is None
    assert settings("<insula:coredumps/>").core_dumps is None, "an element that says nothing is none"


def test_a_namespace_without_shifts_is_still_asked_for() -> None:
    assert settings("<insula:timens/>").time_namespace == TimeNamespace()
    assert "<insula:timens/>" in dump(settings("<insula:timens/>"), "insula:domain")


def test_clocks_shift_by_whole_seconds_and_less_than_one_of_nanoseconds() -> None:
    with pytest.raises(UnsupportedConfigError, match="expected a whole number from 0 to 999999999"):
        settings("<insula:timens><insula:monotonic nanoseconds='1000000000'/></insula:timens>")


def test_limits_and_kernel_settings_are_read_and_one_bound_is_both() -> None:
    read = settings(
        "<insula:rlimit name='nofile' soft='1024' hard='unlimited'/><insula:rlimit name='core' soft='0'/>"
        "<insula:rlimit name='memlock' hard='unlimited'/><insula:sysctl name='net.ipv4.ip_forward' value='1'/>"
    )
    assert [each.bounds for each in read.limits] == [(1024, UNLIMITED), (0, 0), (UNLIMITED, UNLIMITED)]
    assert read.kernel_settings == (KernelSetting(name="net.ipv4.ip_forward", value="1"),)
    assert "<insula:rlimit name='nofile' soft='1024' hard='unlimited'/>" in dump(read, "insula:domain")


@pytest.mark.parametrize("bound", ["-1", "infinity", "1K", "9223372036854775808"])
def test_a_limit_is_a_number_or_unlimited(bound: str) -> None:
    with pytest.raises((UnsupportedConfigError, XmlError), match="expected a whole number or 'unlimited'"):
        load(DefinedLimit, "insula:rlimit", f"<insula:rlimit {OURS} name='core' soft='{bound}'/>")


def test_our_settings_stand_beside_other_peoples_metadata() -> None:
    ours = f"<insula:domain {OURS}><insula:privileged/></insula:domain>"
    xml = f"<metadata><a xmlns='urn:a'/>{ours}<b xmlns='urn:b'/></metadata>"
    metadata = load(Metadata, "metadata", xml)
    assert metadata.settings == InsulaSettings(privileged=True)
    assert [line.strip() for line in dump(metadata, "metadata").splitlines()] == [
        "<metadata>",
        "<a xmlns='urn:a'/>",
        f"<insula:domain {OURS}>",
        "<insula:privileged/>",
        "</insula:domain>",
        "<b xmlns='urn:b'/>",
        "</metadata>",
    ]
