"""Capabilities that are missing, or count for nothing, and ids that are nobody's."""

import pytest

from insula.engine.explain.powerverdicts import NEEDED, PowerScope, id_verdicts, power_verdict, ranges
from insula.engine.explain.verdict import Layer
from insula.kernel.callnumbers import is_call
from insula.kernel.privileges import CAPABILITIES
from tests.unit.engine.explain.failed import EACCES, EINVAL, EPERM, caller, failed, guest


def test_the_table_names_calls_and_capabilities_that_there_are() -> None:
    for each in NEEDED:
        assert each.capability in CAPABILITIES
        assert all(map(is_call, each.names)), each.names


def test_a_power_over_the_host_counts_for_nothing_in_a_user_namespace() -> None:
    found = power_verdict(failed("mknod", EPERM, 0, 0o060600), guest())
    assert found is not None and found.layer is Layer.USER_NAMESPACE and "<hostdev" in found.change
    assert power_verdict(failed("mknod", EPERM, 0, 0o010600), guest()) is None


def test_a_capability_that_a_privileged_guest_was_not_given_is_a_line_away() -> None:
    by = caller(privileged=True)
    found = power_verdict(failed("adjtimex", EPERM, by=by), guest(privileged=True))
    assert found is not None and found.layer is Layer.CAPABILITY
    assert "<sys_time state='on'/>" in found.change and "clock" in found.evidence


def test_a_capability_that_only_the_process_lacks_is_the_guests_own_affair() -> None:
    found = power_verdict(failed("chroot", EPERM, by=caller(1000)), guest())
    assert found is not None and found.layer is Layer.GUEST and "user 1000" in found.evidence


def test_a_capability_that_the_definition_took_is_told() -> None:
    bare = guest(capabilities=frozenset({"chown"}))
    found = power_verdict(failed("chroot", EPERM, by=caller(effective=frozenset({"chown"}))), bare)
    assert found is not None and found.layer is Layer.CAPABILITY and "<sys_chroot state='on'/>" in found.change


def test_powers_in_a_namespace_of_the_guests_making_count_for_less() -> None:
    found = power_verdict(failed("sethostname", EPERM, by=caller(nested=True)), guest())
    assert found is not None and found.layer is Layer.USER_NAMESPACE and "of the guest's making" in found.evidence


def test_who_has_the_power_where_it_counts_is_refused_by_something_else() -> None:
    assert power_verdict(failed("chroot", EPERM), guest()) is None
    assert power_verdict(failed("getpid", EPERM), guest()) is None
    assert power_verdict(failed("setpriority", EACCES, by=caller(privileged=True)), guest(privileged=True)) is None


def test_every_scope_is_used() -> None:
    assert {each.scope for each in NEEDED} == set(PowerScope)


@pytest.mark.parametrize(
    ("name", "arguments", "who"),
    [
        ("chown", (0, 70000, 5), "user 70000"),
        ("fchownat", (0, 0, 5, 70000), "group 70000"),
        ("setresuid", (0xFFFFFFFF, 5, 70000), "user 70000"),
        ("setgid", (70000,), "group 70000"),
        ("setgroups", (1, 4096), "one of the groups"),
    ],
)
def test_ids_that_the_guest_does_not_have_are_named(name: str, arguments: tuple[int, ...], who: str) -> None:
    (found,) = id_verdicts(failed(name, EINVAL, *arguments), guest())
    assert found.layer is Layer.ID_MAP and who in found.evidence and "subordinate" in found.change


def test_ids_that_it_has_are_no_reason() -> None:
    assert list(id_verdicts(failed("chown", EINVAL, 0, 5, 0xFFFFFFFF), guest())) == []
    assert list(id_verdicts(failed("chown", EPERM, 0, 70000, 5), guest())) == []


def test_the_ids_are_told_in_words() -> None:
    assert (ranges(guest()), ranges(guest(privileged=True))) == ("0 to 65535", "the host's")
