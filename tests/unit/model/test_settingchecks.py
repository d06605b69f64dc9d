"""Tests of insula.model.settingchecks: what of our own settings is refused, and in which words."""

import pytest

from insula.engine.policy.resourcelimits import ENOUGH
from insula.model.domain import DomainDefinition
from insula.model.validate import problems

INSULA = "xmlns:insula='https://insula.dev/xmlns/domain/1'"


def domain(metadata: str) -> DomainDefinition:
    return DomainDefinition.load(
        f"<domain type='lxc'><name>x</name><memory>65536</memory><os><type>exe</type></os>{metadata}</domain>"
    )


def settings(inside: str) -> str:
    return f"<metadata><insula:domain {INSULA}>{inside}</insula:domain></metadata>"


@pytest.mark.parametrize(
    ("allowance", "problem"),
    [
        ("family='inet7'", "there is no family 'inet7' to allow; choose of unix, "),
        ("netlink='rtnetlink'", "there is no netlink 'rtnetlink' to allow"),
        ("transport='tcp'", "there is no transport 'tcp' to allow; choose of dccp, "),
        ("", "<insula:allow> has one of family, netlink, transport, feature"),
        ("family='can' netlink='xfrm'", "<insula:allow> has one of"),
    ],
)
def test_what_cannot_be_allowed_is_a_problem(allowance: str, problem: str) -> None:
    (found,) = problems(domain(settings(f"<insula:allow {allowance}/>")))
    assert found.startswith(problem)


@pytest.mark.parametrize("allowance", ["family='alg'", "netlink='xfrm'", "transport='sctp'", "feature='keyrings'"])
def test_what_can_be_allowed_is_no_problem(allowance: str) -> None:
    assert problems(domain(settings(f"<insula:allow {allowance}/>"))) == ()


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ("<insula:hostname>-a b</insula:hostname>", "'-a b' cannot be a host name"),
        ("<insula:timens><insula:monotonic nanoseconds='5'/></insula:timens>", "in whole seconds"),
        ("<insula:search domain='a b'/>", "names cannot be looked for in 'a b'"),
        ("<insula:search domain='a'/><insula:search domain='a'/>", "names are looked for in 'a' twice"),
        ("<insula:nameserver address='192.0.2.1'/>" * 33, "there are more than 32 nameservers"),
        ("<insula:host address='192.0.2.1' names=' '/>", "the host 192.0.2.1 needs names"),
        ("<insula:host address='192.0.2.1' names='a b;'/>", "the host 192.0.2.1 needs names of letters"),
        ("<insula:host address='192.0.2.1' names='a'/>" * 1025, "there are more than 1024 hosts"),
        ("<insula:privilege/>", "<insula:privilege> in <insula:domain> is no setting of ours"),
        ("<insula:subordinate ids='1000'/>", "1000 subordinate ids are no multiple of 65536"),
        ("<insula:privileged/><insula:subordinate ids='65536'/>", "has no ids of its own to which"),
        ("<insula:rlimit name='NOFILE' soft='1'/>", "there is no resource limit 'NOFILE'; choose of as, core, cpu"),
        ("<insula:rlimit name='locks' soft='1'/>", "there is no resource limit 'locks'"),
        ("<insula:rlimit name='core'/>", "the resource limit 'core' says neither soft nor hard"),
        ("<insula:rlimit name='core' soft='2' hard='1'/>", "the resource limit 'core' is above its hard one"),
        ("<insula:rlimit name='core' soft='unlimited' hard='1'/>", "the resource limit 'core' is above its hard one"),
        ("<insula:rlimit name='core' soft='1'/>" * 2, "the resource limit 'core' is set twice"),
        (
            "<insula:sysctl name='vm.swappiness' value='1'/>",
            "'vm.swappiness' is the whole host's; a guest has its own of",
        ),
        ("<insula:sysctl name='kernel.core_pattern' value='|x'/>", "'kernel.core_pattern' is the whole host's"),
        (
            "<insula:sysctl name='net/../kernel/core_pattern' value='|x'/>",
            "is no kernel setting; write it as sysctl(8)",
        ),
        ("<insula:sysctl name='net..x' value='1'/>", "'net..x' is no kernel setting"),
        ("<insula:sysctl name='net.a' value=''/>", "the value of the kernel setting 'net.a' is not one line"),
        ("<insula:sysctl name='net.a' value='1&#10;2'/>", "the value of the kernel setting 'net.a' is not one line"),
        (
            "<insula:sysctl name='net.a' value='1'/><insula:sysctl name='net/a' value='2'/>",
            "the kernel setting 'net.a' is set twice",
        ),
    ],
)
def test_each_problem_of_a_setting_is_the_only_one_found_and_is_named(inside: str, problem: str) -> None:
    (found,) = problems(domain(settings(inside)))
    assert problem in found


def test_a_setting_of_ours_outside_our_element_is_a_problem() -> None:
    (found,) = problems(domain(f"<metadata><insula:privileged {INSULA}/></metadata>"))
    assert "<insula:privileged> stands alone in the metadata" in found


@pytest.mark.parametrize("name", sorted(ENOUGH))
def test_every_limit_of_the_kernels_can_be_set(name: str) -> None:
    assert problems(domain(settings(f"<insula:rlimit name='{name.lower()}' hard='unlimited'/>"))) == ()


@pytest.mark.parametrize(
    "name", ["net.ipv4.conf.eth0/1.forwarding", "net/core/somaxconn", "kernel.msgmax", "user.max_inotify_watches"]
)
def test_settings_of_a_guests_own_can_be_made(name: str) -> None:
    assert problems(domain(settings(f"<insula:sysctl name='{name}' value='1 2\t3'/>"))) == ()


@pytest.mark.parametrize(
    ("dumps", "problem"),
    [
        ("pattern='core'", "the pattern 'core' of core dumps is no absolute path"),
        ("pattern='|/bin/sh'", "the pattern '|/bin/sh' of core dumps is no absolute path"),
        ("pattern='/c/%q'", "the pattern '/c/%q' of core dumps has %q"),
        ("pattern='/c'><insula:limit>0</insula:limit></insula:coredumps", "the limit of core dumps is 0"),
    ],
)
def test_where_no_cores_can_be_kept_is_a_problem(dumps: str, problem: str) -> None:
    closing = ">" if "</" in dumps else "/>"
    (found,) = problems(domain(settings(f"<insula:coredumps {dumps}{closing}")))
    assert found.startswith(problem)


def test_grants_are_judged_with_the_domain() -> None:
    (found,) = problems(domain(settings("<insula:device class='gpu'/><insula:device class='gpu'/>")))
    assert found == "the device class gpu is asked for twice"
