"""Limits of our own namespace: what is read, and what is refused."""

import pytest

from insula.errors import UnsupportedConfigError, XmlError
from insula.model.domain import DomainDefinition
from insula.model.guestlimits import ControlFile, CpuClass, HugePages
from insula.model.scalars import YesNo
from insula.model.validate import validate
from tests.unit.service.fakes import domain_xml


def domain(settings: str, more: str = "") -> DomainDefinition:
    ours = f"<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'>{settings}</i:domain></metadata>"
    return DomainDefinition.load(domain_xml(more=more + ours))


def test_each_stands_in_an_element_of_its_own() -> None:
    settings = domain(
        "<i:cpu burst='20000' idle='yes'/><i:hugepages size='2048' limit='0'/>"
        "<i:cgroup key='memory.oom.group' value='1'/>"
    ).settings
    assert settings.cpu == CpuClass(burst=20000, idle=YesNo.YES)
    assert settings.huge_pages == (HugePages(size=2048, limit=0),)
    assert settings.control_files == (ControlFile(key="memory.oom.group", value="1"),)


@pytest.mark.parametrize(
    "settings", ["<i:cpu burst='1'/>", "<i:zswap limit='-1'/>", "<i:latency device='/dev/sda' target='0'/>"]
)
def test_numbers_out_of_their_range_are_no_xml_of_ours(settings: str) -> None:
    with pytest.raises((XmlError, UnsupportedConfigError), match="expected a whole number"):
        domain(settings)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("<i:misc resource='a b' limit='1'/>", "counts no 'a b'"),
        ("<i:cgroup key='pids.max' value='1'/>", "<insula:pids>"),
        ("<i:cgroup key='cgroup.kill' value='1'/>", "no control file of a limit"),
        ("<i:cgroup key='memory.oom.group' value=''/>", "not one line"),
        ("<i:hugepages size='2048' limit='0'/><i:hugepages size='2048' limit='1'/>", "2048 KiB is set twice"),
        ("<i:cpu burst='20000'/>", "above the quota of 10000"),
        ("".join(f"<i:misc resource='r{number}' limit='1'/>" for number in range(65)), "more than 64"),
    ],
)
def test_what_no_kernel_takes_is_refused_with_the_definition(settings: str, why: str) -> None:
    tune = "<cputune><quota>10000</quota></cputune>" if "burst" in settings else ""
    with pytest.raises(UnsupportedConfigError, match=why):
        validate(domain(settings, tune))
