import pytest

from insula.conversion.domaindraft import FINDINGS_MAX, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry
from insula.errors import InvalidArgumentError
from insula.model.devices import Console
from insula.model.domain import DEVICES_MAX, DomainDefinition
from insula.model.scalars import OnOff
from insula.model.security import Capability
from insula.model.sizes import UNLIMITED_KIB, Bytes
from tests.unit.conversion.conversions import WHOLE

ENTRY = ForeignEntry(key="a.key", value="x", line=3)


def test_a_draft_without_anything_is_a_domain_without_a_limit_and_a_name() -> None:
    domain = DomainDraft(vcpus=4).domain()
    assert (domain.name, domain.memory, domain.vcpu.count) == ("unnamed", UNLIMITED_KIB, 4)
    assert domain.metadata is None and domain.features is None and domain.memory_tune is None


def test_the_host_name_is_told_only_where_it_is_another() -> None:
    assert DomainDraft(hostname="web").domain().name == "web"
    assert DomainDraft(hostname="web").domain().settings.hostname is None
    assert DomainDraft(name="a", hostname="web").domain().settings.hostname == "web"


@pytest.mark.parametrize("name", ["a/b", ".a", "x" * 65, "a\nb"])
def test_a_name_that_no_domain_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        DomainDraft(name=name).domain()


def test_findings_become_comments_that_nothing_ends_early() -> None:
    draft = DomainDraft(name="web")
    draft.lost(ENTRY, "because --> <domain/>", "do --this")
    xml = draft.domain(commented=True).dump(WHOLE)
    assert "<!-- line 3: lost: a.key: because - -> <domain/>; do - -this -->" in xml
    assert DomainDefinition.load(xml).name == "web"


def test_findings_have_an_end() -> None:
    draft = DomainDraft()
    for _ in range(FINDINGS_MAX):
        draft.lost(ENTRY, "why")
    with pytest.raises(InvalidArgumentError):
        draft.lost(ENTRY, "why")


def test_devices_have_an_end() -> None:
    with pytest.raises(InvalidArgumentError, match="devices"):
        DomainDraft(name="web", consoles=[Console()] * (DEVICES_MAX + 1)).domain()


@pytest.mark.parametrize(
    ("memory", "total", "swap", "expected"),
    [
        (None, None, None, None),
        (1 << 20, None, 0, None),
        (1 << 20, None, 1 << 20, 2048),
        (1 << 20, 3 << 20, None, 3072),
    ],
)
def test_swap_counts_with_memory(memory: int | None, total: int | None, swap: int | None, expected: int | None) -> None:
    wanted = [None if each is None else Bytes(each) for each in (memory, total, swap)]
    domain = DomainDraft(memory=wanted[0], swap_total=wanted[1], swap=wanted[2]).domain()
    assert (domain.memory_tune.swap_hard_limit if domain.memory_tune else None) == expected


def test_paths_are_absolute_and_do_not_climb() -> None:
    draft = DomainDraft()
    assert draft.path(ENTRY, "a") is None and draft.path(ENTRY, "/a/../b") is None
    assert len(draft.findings) == 2
    assert str(draft.path(ENTRY, "/a")) == "/a"


def test_capabilities_have_their_names_of_capabilities_7() -> None:
    draft = DomainDraft()
    draft.drop_capability(ENTRY, "CAP_SYS_BOOT")
    draft.drop_capability(ENTRY, "sys_boots")
    assert draft.capabilities == {Capability.SYS_BOOT: False} and len(draft.findings) == 1
    features = draft.domain().features
    assert features is not None and features.capabilities is not None
    assert features.capabilities.states[0].state is OnOff.OFF


def test_a_program_is_a_path_or_a_name() -> None:
    draft = DomainDraft()
    draft.command(ENTRY, ("/sbin/init", "3"))
    draft.command(ENTRY, ("a/b",))
    assert (str(draft.init), draft.arguments, len(draft.findings)) == ("/sbin/init", ("3",), 1)
