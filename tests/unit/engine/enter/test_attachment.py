"""Tests of insula.engine.enter.attachment."""

import os
from dataclasses import replace

import pytest

from insula.engine.enter.attachment import (
    Attachment,
    Login,
    attachment_steps,
    group_fds,
    namespace_fds,
    namespaces_of,
)
from insula.engine.interfacespec import NetworkKind
from insula.engine.spec import (
    ContainerSpec,
    Namespace,
    Process,
    ResourceLimit,
    Seccomp,
    SeccompProfile,
    SharedNamespace,
)
from insula.engine.steps.guest import confinement, execution, namespaces, terminals, tracing
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import close_all
from tests.descriptors import open_fds
from tests.plans import BUSYBOX, PRIVILEGED, UNIFIED

WEB = Login(name="web", home="/srv/web", shell="")
PROCESS = Process(argv=("ls",), env=(("LANG", "C"),), cwd="/srv", user="web", group="staff")


def test_it_joins_the_groups_first_then_all_namespaces_then_is_confined_then_executes() -> None:
    limited = replace(BUSYBOX, resource_limits=(ResourceLimit(name="NOFILE", soft=1, hard=2),), no_new_privileges=True)
    steps = attachment_steps(limited, UNIFIED, Attachment(process=PROCESS, terminal=(24, 80)), WEB)
    assert [type(step) for step in steps] == [
        namespaces.JoinGroups,
        namespaces.EnterContainer,
        confinement.JoinFreshKeyring,
        namespaces.BecomeRoot,
        terminals.MakeTerminal,
        terminals.TakeTerminal,
        confinement.LearnAccount,
        execution.PassDescriptors,
        confinement.LoadFilters,
        confinement.BecomeUser,
        confinement.KeepCapabilities,
        confinement.RefuseNewPrivileges,
        execution.EnterDirectory,
        confinement.LimitResource,
        execution.Execute,
    ]


def test_limits_are_raised_before_a_user_namespace_is_entered_but_not_those_that_would_hinder_its_steps() -> None:
    limits = (
        ResourceLimit(name="NOFILE", soft=1024, hard=1 << 20),
        ResourceLimit(name="MEMLOCK", soft=0, hard=None),
        ResourceLimit(name="FSIZE", soft=1, hard=1),
    )

    def raised(spec: ContainerSpec) -> list[tuple[str, int | None]]:
        steps = attachment_steps(replace(spec, resource_limits=limits), UNIFIED, Attachment(process=PROCESS), WEB)
        entered = next(number for number, each in enumerate(steps) if isinstance(each, namespaces.EnterContainer))
        return [(each.name, each.hard) for each in steps[:entered] if isinstance(each, confinement.RaiseLimit)]

    assert raised(BUSYBOX) == [("NOFILE", 1 << 20), ("MEMLOCK", None)]
    assert raised(PRIVILEGED) == []


def test_without_a_terminal_the_streams_are_taken() -> None:
    kinds = [type(step) for step in attachment_steps(BUSYBOX, UNIFIED, Attachment(process=PROCESS), WEB)]
    assert terminals.TakeStreams in kinds
    assert terminals.MakeTerminal not in kinds


def test_who_is_to_be_traced_waits_in_the_groups_before_anything_is_looked_up() -> None:
    kinds = [type(step) for step in attachment_steps(BUSYBOX, UNIFIED, Attachment(process=PROCESS, traced=True), WEB)]
    waits = kinds.index(tracing.AwaitTracer)
    assert kinds.index(namespaces.JoinGroups) < waits < kinds.index(execution.PassDescriptors)
    assert waits < kinds.index(confinement.LoadFilters) < kinds.index(execution.EnterDirectory)


def kept(spec: object, attachment: Attachment) -> list[str]:
    steps = attachment_steps(spec, UNIFIED, attachment, WEB)  # type: ignore[arg-type]
    return next(step.names for step in steps if isinstance(step, confinement.KeepCapabilities))


def test_capabilities_are_never_more_than_inits() -> None:
    few = replace(BUSYBOX, capabilities=frozenset({"chown", "kill"}))
    assert kept(few, Attachment(process=PROCESS)) == ["chown", "kill"]
    assert kept(few, Attachment(process=PROCESS, capabilities=frozenset({"kill", "sys_admin"}))) == ["kill"]
    assert "mknod" not in kept(PRIVILEGED, Attachment(process=PROCESS))


def test_new_privileges_can_be_refused_to_it_alone_but_an_unconfined_guest_stays_so() -> None:
    def refuses(attachment: Attachment) -> bool:
        steps = attachment_steps(BUSYBOX, UNIFIED, attachment, WEB)
        return any(isinstance(step, confinement.RefuseNewPrivileges) for step in steps)

    assert not refuses(Attachment(process=PROCESS))
    assert refuses(Attachment(process=PROCESS, no_new_privileges=True))
    unconfined = replace(BUSYBOX, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED))
    steps = attachment_steps(unconfined, UNIFIED, Attachment(process=PROCESS), WEB)
    assert not any(isinstance(step, confinement.LoadFilters) for step in steps)


def test_the_program_has_its_environment_with_a_path_and_a_home() -> None:
    there, last = attachment_steps(BUSYBOX, UNIFIED, Attachment(process=PROCESS), WEB)[-2:]
    assert isinstance(there, execution.EnterDirectory) and isinstance(last, execution.Execute)
    environment = dict(last.env)
    assert environment.keys() == {"PATH", "container", "USER", "LOGNAME", "SHELL", "LANG"}
    assert (environment["USER"], environment["SHELL"], environment["LANG"]) == ("web", "/bin/sh", "C")
    assert (last.argv, there.path, there.else_root, last.home) == (["ls"], "/srv", False, True)


def test_without_a_directory_it_begins_in_the_users_home_if_that_can_be_entered() -> None:
    process = Process(argv=("ls",), cwd=None)
    login = Login("", "/root", "/bin/bash")
    there, last = attachment_steps(BUSYBOX, UNIFIED, Attachment(process=process), login)[-2:]
    assert isinstance(there, execution.EnterDirectory) and isinstance(last, execution.Execute)
    assert (there.path, there.else_root) == ("/root", True)
    environment = dict(last.env)
    assert environment["SHELL"] == "/bin/bash" and environment["LANG"] == "C.UTF-8" and "USER" not in environment


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, {Namespace.TIME}),
        ({"time_offsets": (0, 0)}, set()),
        ({"network": NetworkKind.HOST}, {Namespace.TIME, Namespace.NETWORK}),
        ({"idmap": None, "privileged": True}, {Namespace.TIME, Namespace.USER}),
        (
            {"shared_namespaces": (SharedNamespace(kind=Namespace.NETWORK, path="/n"),)},
            {Namespace.TIME},
        ),
    ],
)
def test_it_joins_what_the_container_has_of_its_own_or_joined(
    changes: dict[str, object], missing: set[Namespace]
) -> None:
    kinds = set(namespaces_of(replace(BUSYBOX, **changes)))  # type: ignore[arg-type]
    assert kinds == set(Namespace) - {Namespace.PID} - missing


def test_namespaces_come_in_libvirts_order() -> None:
    fds = namespace_fds(os.getpid())
    assert [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in fds] == [
        "user",
        "ipc",
        "uts",
        "net",
        "pid",
        "mnt",
    ]
    close_all(fds)
    with pytest.raises(FileNotFoundError):
        namespace_fds(2**22 + 5)


def test_a_group_that_is_gone_leaves_no_fd_open() -> None:
    before = open_fds()
    with pytest.raises(OSError, match="gone"):
        group_fds(Cgroup(Hierarchies(v2="/proc/self"), "gone"))
    assert open_fds() == before


def test_who_enters_takes_inits_profile_right_before_inits_filter() -> None:
    held = replace(BUSYBOX, profile="insula-guest-1")
    steps = attachment_steps(held, UNIFIED, Attachment(process=PROCESS), WEB)
    kinds = [type(step) for step in steps]
    assert confinement.TakeProfile(why="the same as init's", profile="insula-guest-1") in steps
    assert kinds.index(confinement.TakeProfile) == kinds.index(confinement.LoadFilters) - 1
