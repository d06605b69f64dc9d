"""Every format, and every domain of tests/data: what comes back is the same, but for what is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.formats import FORMATS, ForeignFormat, domain_from, format_named, text_from
from insula.conversion.losses import losses
from insula.errors import InvalidArgumentError
from insula.model.domain import DomainDefinition
from insula.model.resourcetuning import VCPU_MAX
from tests.growth import growth
from tests.unit.model.corpus import DOMAINS

EVERY = pytest.mark.parametrize("wanted", FORMATS, ids=lambda each: each.name)
OTHERS = ("future", "qemu:", "quota", "ext:", "genid", "iothreads", "pm", "boot", "machine", "cmdline", "colour")
"""Of what only strangers' documents have."""


@EVERY
@pytest.mark.parametrize("path", DOMAINS, ids=lambda each: each.stem)
def test_a_domain_comes_back_the_same_but_for_what_is_named(wanted: ForeignFormat, path: Path) -> None:
    domain = DomainDefinition.load(path.read_text())
    written = text_from(wanted, domain)
    back = domain_from(wanted, ForeignDocument(text=written.text), vcpus=VCPU_MAX).domain
    named = {each.key for each in written.findings} - {"uuid"}
    # The UUID, and what addresses come of it, are made up anew where a format has none.
    missed = {each.key for each in losses(domain, back, wanted.reasons)} - named - {"uuid"}
    assert missed == set()


@EVERY
@pytest.mark.parametrize("path", DOMAINS, ids=lambda each: each.stem)
def test_writing_twice_is_writing_once(wanted: ForeignFormat, path: Path) -> None:
    domain = DomainDefinition.load(path.read_text())
    assert text_from(wanted, domain).text == text_from(wanted, domain).text


LOST_BY_ALL = {
    "lxc-tools": {"uuid", "vcpu", "idmap"},
    "openvz": set[str](),
    "oci": {"vcpu", "idmap"},
    "incus": {"devices/filesystem[/]/source/@dir"},
    "nspawn": {"vcpu", "memory", "currentMemory", "devices/filesystem[/]/source/@dir"},
}
"""What even a plain domain loses."""


@EVERY
def test_what_a_plain_domain_loses_is_known(wanted: ForeignFormat) -> None:
    domain = DomainDefinition.load(
        "<domain type='lxc'><name>web</name><memory unit='MiB'>512</memory><os><type>exe</type></os><devices>"
        "<filesystem type='mount'><source dir='/srv/web'/><target dir='/'/></filesystem><console type='pty'/>"
        "</devices></domain>"
    )
    assert {each.key for each in text_from(wanted, domain).findings} == LOST_BY_ALL[wanted.name]


@EVERY
def test_every_finding_has_a_reason_of_its_own(wanted: ForeignFormat) -> None:
    general = wanted.reasons.get("")
    for path in DOMAINS:
        for each in text_from(wanted, DomainDefinition.load(path.read_text())).findings:
            assert each.why
            if general is not None and each.why == general.why:
                assert any(word in each.key for word in OTHERS), each.key


def test_a_format_is_found_by_its_name_and_others_are_told() -> None:
    assert format_named("lxc-tools").name == "lxc-tools"
    with pytest.raises(InvalidArgumentError, match="lxc-tools"):
        format_named("qemu-argv")


def _sysctls(number: int) -> dict[str, str]:
    return {f"net.ipv4.conf.x{each}.forwarding": "1" for each in range(number)}


def _oci(**more: object) -> str:
    return json.dumps({"ociVersion": "1.0.2", "root": {"path": "/r"}, **more})


_RANGE = {"containerID": 1, "hostID": 100, "size": 1}
LARGE: list[tuple[str, str, Callable[[int], str]]] = [
    ("lxc-tools", "lxc.idmap", lambda number: "lxc.idmap = u 1 100 1\n" * number),
    ("lxc-tools", "lxc.sysctl", lambda number: "".join(f"lxc.sysctl.{each} = 1\n" for each in _sysctls(number))),
    ("lxc-tools", "lxc.init.cmd", lambda number: f"lxc.init.cmd = /a {'b ' * number}\n"),
    ("openvz", "SEARCHDOMAIN", lambda number: f'SEARCHDOMAIN="{" ".join(f"d{each}" for each in range(number))}"\n'),
    ("openvz", "NAMESERVER", lambda number: f'NAMESERVER="{" ".join(map(_address, range(number)))}"\n'),
    ("oci", "uidMappings", lambda number: _oci(linux={"uidMappings": [_RANGE] * number})),
    ("oci", "sysctl", lambda number: _oci(linux={"sysctl": _sysctls(number)})),
    ("oci", "args", lambda number: _oci(process={"args": ["/a", *("b" * number)]})),
    ("nspawn", "Parameters", lambda number: f"[Exec]\nParameters=/a '{'b' * number * 50}'\n"),
    (
        "incus",
        "linux.sysctl",
        lambda number: "config:\n" + "".join(f"  linux.sysctl.{each}: '1'\n" for each in _sysctls(number // 2)),
    ),
]


def _address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, text in LARGE], ids=[each[1] for each in LARGE])
def test_a_large_document_takes_no_more_than_its_size(name: str, text: Callable[[int], str]) -> None:
    wanted = format_named(name)

    def both_ways(number: int) -> None:
        text_from(wanted, domain_from(wanted, ForeignDocument(text=text(number)), vcpus=4).domain)

    assert growth(both_ways, 1000) < 8
