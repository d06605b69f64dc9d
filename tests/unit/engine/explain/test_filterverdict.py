"""The filter's verdict is that of its program; the reason and the line come from the tables that it is made of."""

import errno
from dataclasses import replace

import pytest

from insula.engine.explain.filterverdict import filter_verdict
from insula.engine.explain.verdict import Layer
from insula.engine.policy.syscalls import FORBIDDEN_ARGUMENTS, REFUSED
from insula.engine.spec import Seccomp, SeccompProfile
from tests.unit.engine.explain.failed import ENOSYS, EPERM, failed, guest


@pytest.mark.parametrize("group", REFUSED, ids=lambda each: each.names[0])
def test_every_call_refused_by_name_has_the_reason_of_its_group(group: "object") -> None:
    from insula.engine.policy.callgroups import Refusal
    from insula.kernel.callnumbers import call_numbers

    assert isinstance(group, Refusal)
    for name in (each for each in group.names if each in call_numbers()):
        found = filter_verdict(failed(name, group.errno), guest())
        assert found is not None and found.layer is Layer.FILTER and group.why in found.evidence
        assert found.change or found.advice


@pytest.mark.parametrize("forbidden", FORBIDDEN_ARGUMENTS, ids=lambda each: each.why[:20])
def test_a_forbidden_argument_has_its_reason(forbidden: "object") -> None:
    from insula.engine.policy.callgroups import ForbiddenArgument

    assert isinstance(forbidden, ForbiddenArgument)
    call = failed("ioctl", EPERM, 0, forbidden.conditions[0].value)
    found = filter_verdict(call, guest())
    assert found is not None and forbidden.why in found.evidence


def test_what_the_filter_lets_pass_or_answers_otherwise_is_not_its_doing() -> None:
    assert filter_verdict(failed("mount", EPERM), guest()) is None
    assert filter_verdict(failed("bpf", errno.EACCES), guest()) is None
    assert filter_verdict(failed("bpf", EPERM), guest(seccomp=Seccomp(profile=SeccompProfile.UNCONFINED))) is None


@pytest.mark.parametrize(
    ("arguments", "number", "change"),
    [
        ((38, 5, 0), errno.EAFNOSUPPORT, "<insula:allow family='alg'/>"),
        ((16, 3, 9), errno.EPROTONOSUPPORT, "<insula:allow netlink='audit'/>"),
        ((2, 1, 132), errno.EPROTONOSUPPORT, "<insula:allow transport='sctp'/>"),
        ((2, 5, 132), errno.ESOCKTNOSUPPORT, "<insula:allow transport='sctp'/>"),
        ((200, 1, 0), errno.EAFNOSUPPORT, ""),
    ],
)
def test_sockets_are_let_through_by_a_line(arguments: tuple[int, ...], number: int, change: str) -> None:
    found = filter_verdict(failed("socket", number, *arguments), guest())
    assert found is not None and found.change == change


def test_options_and_keys_are_let_through_by_a_feature() -> None:
    ulp = filter_verdict(failed("setsockopt", errno.ENOENT, 3, 6, 31), guest())
    ring = filter_verdict(failed("setsockopt", errno.ENOPROTOOPT, 3, 263, 5), guest())
    keys = filter_verdict(failed("keyctl", ENOSYS), guest())
    rings = filter_verdict(failed("io_uring_enter", EPERM), guest())
    faults = filter_verdict(failed("userfaultfd", EPERM), guest())
    assert [each and each.change for each in (ulp, ring, keys, rings, faults)] == [
        "<insula:allow feature='tcp-ulp'/>",
        "<insula:allow feature='packet-rings'/>",
        "<insula:allow feature='keyrings'/>",
        "<insula:allow feature='io-uring'/>",
        "<insula:allow feature='userfaultfd'/>",
    ]


def test_a_privileged_guest_is_refused_new_mounts_by_its_filter() -> None:
    found = filter_verdict(failed("mount", EPERM), guest(privileged=True))
    assert found is not None and found.change == "<insula:allow feature='mounts'/>"
    other = filter_verdict(failed("ioctl", EPERM, 0, 0x5412), guest(privileged=True))
    assert other is not None and not other.change


def test_a_migratable_guest_is_refused_nested_namespaces() -> None:
    migratable = guest(seccomp=Seccomp(profile=SeccompProfile.MIGRATABLE))
    found = filter_verdict(failed("unshare", EPERM, 0x10000000), migratable)
    assert found is not None and "migrated" in found.advice and not found.change


def test_calls_of_other_machines_and_of_x32_are_told() -> None:
    strange = replace(failed("read", ENOSYS), architecture=0x1234)
    found = filter_verdict(strange, guest())
    assert found is not None and "another machine" in found.evidence


def test_a_call_that_is_on_no_list_is_told_so() -> None:
    call = replace(failed("read", ENOSYS), name="", number=999)
    found = filter_verdict(call, guest())
    assert found is not None and "on no list" in found.evidence


def test_what_was_taken_for_this_domain_is_told() -> None:
    found = filter_verdict(failed("chroot", EPERM), guest(seccomp=Seccomp(refuse=("chroot",))))
    assert found is not None and "for this domain" in found.evidence
