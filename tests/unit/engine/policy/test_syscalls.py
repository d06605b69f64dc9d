import errno
from collections import Counter

import pyseccomp
import pytest

from insula.engine.policy import syscalls
from insula.engine.policy.callgroups import Group
from insula.engine.policy.namespacepolicy import MIGRATABLE_ARGUMENTS, NEW_MOUNT_ARGUMENTS
from insula.engine.policy.syscalls import (
    ALLOWED,
    KEYRING_CALLS,
    REFUSED,
    argument_lists,
    confined,
    filter_of,
    filters,
    programs,
)
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange, Seccomp, SeccompProfile
from insula.errors import InvalidArgumentError
from insula.kernel.seccomp import NUMBERS_OF_MACHINES, Rule, system_call_number

# In the machine too, whose libseccomp is newer and knows more calls.
pytestmark = pytest.mark.machine

ARCHITECTURES = {name: getattr(pyseccomp.Arch, name) for name in ("X86_64", "X86", "AARCH64", "ARM", "RISCV64")}
HIGHEST = 500


def names(groups: tuple[Group, ...]) -> list[str]:
    return [name for group in groups for name in group.names]


def known_calls(architecture: int) -> set[str]:
    """Return every call that libseccomp knows on an architecture."""
    found = set()
    for number in range(HIGHEST):
        try:
            found.add(pyseccomp.resolve_syscall(architecture, number).decode())
        except ValueError:
            continue
    return found


def test_no_call_is_listed_twice() -> None:
    assert [name for name, count in Counter(names(ALLOWED) + names(REFUSED)).items() if count > 1] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_every_call_the_library_knows_has_an_answer(architecture: int) -> None:
    assert known_calls(architecture) - {*names(ALLOWED), *names(REFUSED), "personality", "riscv_hwprobe"} == set()


def test_no_name_is_misspelt() -> None:
    elsewhere = {name for numbers in NUMBERS_OF_MACHINES.values() for name in numbers}
    unknown = {name for name in names(ALLOWED) + names(REFUSED) if system_call_number(name) is None}
    assert unknown - elsewhere == set()


def test_every_group_says_why() -> None:
    groups = (*ALLOWED, *REFUSED, *syscalls.FORBIDDEN_ARGUMENTS, *MIGRATABLE_ARGUMENTS, *NEW_MOUNT_ARGUMENTS)
    assert all(len(group.why) > 6 and group.names for group in groups)


def rules(seccomp: Seccomp) -> list[Rule]:
    return [rule for each in filters(seccomp) for rule in each.rules]


def answer_to(seccomp: Seccomp, name: str) -> int | None:
    """Return the errno an unconditional rule gives a call, None if it passes."""
    allow_list = filters(seccomp)[-1]
    for rule in allow_list.rules:
        if name in rule.names and not rule.conditions:
            return rule.refusal
    return allow_list.otherwise


def test_what_would_reach_the_hosts_kernel_is_refused() -> None:
    for name in ("kexec_load", "init_module", "finit_module", "open_by_handle_at", "bpf", "perf_event_open", "swapon"):
        assert answer_to(Seccomp(), name) == errno.EPERM
    for name in ("clone3", "unshare", "mount", "ptrace", "reboot"):
        assert answer_to(Seccomp(), name) is None


def test_what_is_newer_than_the_list_is_answered_as_unknown() -> None:
    assert filters(Seccomp())[-1].otherwise == errno.ENOSYS


def test_a_name_can_be_added_and_taken() -> None:
    widened = Seccomp(allow=("io_uring_setup", "personality"), refuse=("ptrace",))
    assert answer_to(widened, "io_uring_setup") is None
    assert answer_to(widened, "personality") is None
    assert answer_to(widened, "ptrace") == errno.EPERM
    assert not any(rule.conditions for rule in rules(widened) if "personality" in rule.names)


def test_allowing_a_call_allows_all_its_arguments() -> None:
    assert not any("ioctl" in rule.names and rule.refusal for rule in rules(Seccomp(allow=("ioctl",))))


def test_the_migratable_profile_forbids_the_namespaces_that_cannot_be_dumped() -> None:
    extra = set(rules(Seccomp(profile=SeccompProfile.MIGRATABLE))) - set(rules(Seccomp()))
    assert {(rule.names[0], rule.refusal) for rule in extra} == {
        ("unshare", errno.EPERM),
        ("clone", errno.EPERM),
        ("clone3", errno.ENOSYS),
    }


def test_an_unconfined_container_has_no_filter_but_for_what_is_refused_by_name() -> None:
    assert filters(Seccomp(profile=SeccompProfile.UNCONFINED)) == ()
    assert not confined(Seccomp(profile=SeccompProfile.UNCONFINED))
    assert confined(Seccomp(profile=SeccompProfile.UNCONFINED, refuse=("ptrace",)))
    (only,) = filters(Seccomp(profile=SeccompProfile.UNCONFINED, refuse=("ptrace",)))
    assert only.otherwise is None
    assert only.rules == (Rule(names=("ptrace",), refusal=errno.EPERM),)


@pytest.mark.parametrize("seccomp", [Seccomp(allow=("reed",)), Seccomp(refuse=("reed",))])
def test_a_name_of_no_call_is_refused(seccomp: Seccomp) -> None:
    with pytest.raises(InvalidArgumentError, match="no system call 'reed'"):
        filters(seccomp)


@pytest.mark.parametrize("profile", list(SeccompProfile))
def test_every_profile_compiles_to_whole_instructions(profile: SeccompProfile) -> None:
    compiled = programs(Seccomp(profile=profile))
    assert len(compiled) == (0 if profile is SeccompProfile.UNCONFINED else 1)
    assert all(program and len(program) % 8 == 0 and len(program) // 8 < 4096 for program in compiled)


def test_the_same_settings_are_compiled_once() -> None:
    assert programs(Seccomp()) is programs(Seccomp())


def test_there_are_no_keyrings_unless_they_are_allowed() -> None:
    assert [answer_to(Seccomp(), name) for name in KEYRING_CALLS] == [errno.ENOSYS] * 3
    assert [answer_to(Seccomp(allow=KEYRING_CALLS), name) for name in KEYRING_CALLS] == [None] * 3


def spec(idmap: IdMap | None, seccomp: Seccomp) -> ContainerSpec:
    root = DirectoryRoot(path="/srv/box")
    return ContainerSpec(
        name="box",
        uuid="4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
        root=root,
        idmap=idmap,
        privileged=idmap is None,
        seccomp=seccomp,
    )


def test_new_mounts_are_refused_only_where_no_user_namespace_makes_them_harmless() -> None:
    ids = (IdRange(inside=0, outside=100000, count=65536),)
    mapped = IdMap(uids=ids, gids=ids)
    assert filter_of(spec(mapped, Seccomp())).new_mounts is True
    assert filter_of(spec(None, Seccomp())).new_mounts is False
    assert filter_of(spec(None, Seccomp(new_mounts=True))).new_mounts is True
    refused = {name for each in NEW_MOUNT_ARGUMENTS for name in each.names}
    assert refused == {"mount", "fsopen", "unshare", "clone", "clone3"}


def test_a_migratable_privileged_container_compiles_too() -> None:
    assert programs(Seccomp(profile=SeccompProfile.MIGRATABLE, new_mounts=False))


def test_allowing_the_call_that_makes_sockets_allows_them_all() -> None:
    assert {name for each in argument_lists(Seccomp()) for name in each.names} == {"socket", "socketpair", "setsockopt"}
    widened = Seccomp(allow=("socket", "socketpair", "setsockopt"))
    assert argument_lists(widened) == []
    assert argument_lists(Seccomp(profile=SeccompProfile.UNCONFINED)) == []
