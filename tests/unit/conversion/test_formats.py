"""Every format, and every domain of tests/data: what comes back is the same, but for what is named."""

from pathlib import Path

import pytest

from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.formats import FORMATS, ForeignFormat, domain_from, format_named, text_from
from insula.conversion.losses import losses
from insula.errors import InvalidArgumentError
from insula.model.domain import DomainDefinition
from insula.model.resourcetuning import VCPU_MAX
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
