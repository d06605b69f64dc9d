import errno
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from insula.engine.policy import syscalls
from insula.engine.policy.callgroups import CallGroup
from insula.engine.policy.namespacepolicy import MIGRATABLE_ARGUMENTS, NEW_MOUNT_ARGUMENTS
from insula.engine.policy.syscalls import (
    ALLOWED,
    KEYRING_CALLS,
    REFUSED,
    confined,
    filter_of,
    filter_rules,
    programs,
)
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange, Seccomp, SeccompProfile
from insula.errors import InvalidArgumentError
from insula.kernel.callfilter import COMPANIONS, Filter, Rule, Unlisted, compile_filter
from insula.kernel.callnumbers import ARCHITECTURES, IPC, SOCKETCALL, call_numbers, is_call
from tests import hosts
from tests.callfilters import Oracle, ask

# In the machine too, whose libseccomp is newer and knows more calls.
pytestmark = pytest.mark.machine("seccomp")


def names(groups: tuple[CallGroup, ...]) -> list[str]:
    return [name for group in groups for name in group.names]


def test_no_call_is_listed_twice() -> None:
    assert [name for name, count in Counter(names(ALLOWED) + names(REFUSED)).items() if count > 1] == []


@pytest.mark.parametrize("architecture", [each for each in ARCHITECTURES if each not in ("ppc64le", "s390x")])
def test_every_call_that_is_known_has_an_answer(architecture: str) -> None:
    answered = {*names(ALLOWED), *names(REFUSED), "personality", "riscv_hwprobe", "get_tls", "usr26", "usr32"}
    assert set(call_numbers(architecture)) - answered == set()


def test_no_name_is_misspelt() -> None:
    assert [name for name in names(ALLOWED) + names(REFUSED) if not is_call(name)] == []


def test_every_group_says_why() -> None:
    groups = (*ALLOWED, *REFUSED, *syscalls.FORBIDDEN_ARGUMENTS, *MIGRATABLE_ARGUMENTS, *NEW_MOUNT_ARGUMENTS)
    assert all(len(group.why) > 6 and group.names for group in groups)


def filter_for(seccomp: Seccomp) -> Filter:
    wanted = filter_rules(seccomp)
    assert wanted is not None
    return wanted


def rules(seccomp: Seccomp) -> tuple[Rule, ...]:
    return filter_for(seccomp).rules


def answer_to(seccomp: Seccomp, name: str) -> int | None:
    """Return the errno an unconditional rule gives a call, None if it passes."""
    wanted = filter_for(seccomp)
    return next((each.refusal for each in wanted.rules if name in each.names and not each.conditions), wanted.otherwise)


def test_what_would_reach_the_hosts_kernel_is_refused() -> None:
    for name in ("kexec_load", "init_module", "finit_module", "open_by_handle_at", "bpf", "perf_event_open", "swapon"):
        assert answer_to(Seccomp(), name) == errno.EPERM
    for name in ("clone3", "unshare", "mount", "ptrace", "reboot"):
        assert answer_to(Seccomp(), name) is None


def test_what_is_newer_than_the_list_is_answered_as_unknown() -> None:
    assert filter_for(Seccomp()).otherwise == errno.ENOSYS


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
    assert filter_rules(Seccomp(profile=SeccompProfile.UNCONFINED)) is None
    assert not confined(Seccomp(profile=SeccompProfile.UNCONFINED))
    assert confined(Seccomp(profile=SeccompProfile.UNCONFINED, refuse=("ptrace",)))
    only = filter_for(Seccomp(profile=SeccompProfile.UNCONFINED, refuse=("ptrace",)))
    assert only.otherwise is None
    assert only.rules == (Rule(names=("ptrace",), refusal=errno.EPERM),)


@pytest.mark.parametrize("seccomp", [Seccomp(allow=("reed",)), Seccomp(refuse=("reed",))])
def test_a_name_of_no_call_is_refused(seccomp: Seccomp) -> None:
    with pytest.raises(InvalidArgumentError, match="no system call 'reed'"):
        filter_rules(seccomp)


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
    makers = {"socket", "socketpair", "setsockopt"}
    asked = {name for each in rules(Seccomp()) if each.conditions for name in each.names}
    assert makers < asked
    widened = rules(Seccomp(allow=tuple(sorted(makers))))
    assert not any(makers & set(each.names) for each in widened if each.conditions)


def variants() -> list[Seccomp]:
    """Return settings of every kind: profiles, what domains may be allowed, names added and taken."""
    profiles = [
        Seccomp(profile=profile, new_mounts=new, refuse=refuse)
        for profile in SeccompProfile
        for new in (True, False)
        for refuse in ((), ("ptrace",))
    ]
    allowed = [
        Seccomp(families=("can", "alg"), netlink=("xfrm", "audit")),
        Seccomp(transports=("sctp", "dccp", "smc")),
        Seccomp(upper_layers=True, packet_rings=True),
        Seccomp(allow=KEYRING_CALLS),
        Seccomp(allow=("socket", "socketpair", "setsockopt")),
        Seccomp(allow=("ioctl", "mount", "personality"), new_mounts=False),
        Seccomp(allow=("io_uring_setup", "bpf"), refuse=("ioctl", "socketcall")),
        Seccomp(profile=SeccompProfile.UNCONFINED, refuse=("socket", "semop", "bind")),
        Seccomp(refuse=("semop", "shmget", "setsockopt")),
    ]
    return [each for each in (*profiles, *allowed) if confined(each)]


COMPARED = [each for each in ARCHITECTURES if each != "s390x"]
"""libseccomp writes long programs for the other byte order half in this machine's."""
BEYOND = (983041, 983047, 2**30 - 1, 2**30, 2**30 | 1, 2**31, 2**32 - 2, 2**32 - 1)
SAMPLES = 60


@pytest.mark.parametrize("seccomp", variants()[:1] if hosts.profile() in hosts.MACHINES else variants(), ids=str)
def test_a_program_answers_as_libseccomps_does(seccomp: Seccomp) -> None:
    """Every number on every architecture; where arguments count, a sample of those that the rules are about."""
    chosen = Random(str(seccomp))
    wanted = filter_for(seccomp)
    for architecture in COMPARED:
        machine = next((native for native, other in COMPANIONS.items() if other == architecture), architecture)
        program, oracle = compile_filter(wanted, machine), Oracle(wanted, architecture)
        for number in {*range(600), *BEYOND} - oracle.unknown():
            ours, theirs = ask(program, number, architecture=architecture), oracle.ask(number)
            assert ours.refusal == theirs.refusal, (architecture, number)
            if ours.by_arguments or theirs.by_arguments:
                for arguments in samples(wanted, architecture, number, chosen):
                    asked = ask(program, number, arguments, architecture)
                    assert asked.refusal == oracle.ask(number, arguments).refusal, (architecture, number, arguments)


def samples(wanted: Filter, architecture: str, number: int, chosen: Random) -> Iterator[list[int]]:
    """Return arguments that a number's rules tell apart, with their neighbours, and with bits that no rule looks at."""
    names = {name for name, value in call_numbers(architecture).items() if value == number}
    parts = {*(SOCKETCALL.values() if "socketcall" in names else ()), *(IPC.values() if "ipc" in names else ())}
    words: list[list[int]] = [[0, 1, 2**32 - 1, *parts] for _ in range(6)]
    for question in (each for rule in wanted.rules if names & set(rule.names) for each in rule.conditions):
        for value in question.values if isinstance(question, Unlisted) else (question.value,):
            words[question.argument] += [value, value + 1, value | ~question.mask & 0xFFFFFFFF, value ^ question.mask]
    high = 0 if parts else 1 << 32  # which libseccomp takes for a part of the first argument, and the kernel does not
    for _ in range(SAMPLES):
        yield [chosen.choice(each) | chosen.choice((0, high)) for each in words]


def test_a_program_is_short_and_so_are_the_ways_through_it() -> None:
    """The kernel goes each number's way when it loads a program: libseccomp's has 1198 instructions, 34 on each way."""
    (program,) = programs(Seccomp())
    ways = [ask(program, number).steps for number in range(470)]
    assert len(program) // 8 < 300
    assert sum(ways) / len(ways) < 12
