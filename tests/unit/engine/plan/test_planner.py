"""Tests of insula.engine.plan.planner: golden plans, and what they must never be."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.engine.facts import Facts
from insula.engine.interfacespec import NetworkKind, VethInterface
from insula.engine.plan.plan import LaunchPlan
from insula.engine.plan.planner import plan
from insula.engine.spec import (
    Access,
    BindMount,
    ContainerSpec,
    DirectoryRoot,
    Limits,
    NameFiles,
    Namespace,
    Process,
    Seccomp,
    SeccompProfile,
)
from insula.engine.steps.guest import confinement, execution, locking, namespaces, protections, roottree
from insula.engine.steps.guest.shownfiles import ShowFile
from insula.engine.steps.host import childsetup, groups, layers, scopes
from insula.errors import InvalidArgumentError
from tests.plans import BUSYBOX, CASES, CONFINED, DEBIAN, HYBRID, PRIVILEGED, SYSTEMD, UNIFIED, Case, golden
from tests.unit.engine.generated import specs

CHECKOUT = Path(__file__).parents[4]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_is_the_recorded_one(case: Case) -> None:
    """After an intended change: `python -m tests.plans` writes them anew; read the difference."""
    assert plan(case.spec, case.facts).encode() == json.loads(golden(case).read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_plan_is_read_by_people(case: Case) -> None:
    """No value of ours is shown as Python has it: `insula plan` prints the phrases."""
    phrases = [phrase for _, phrase, _ in plan(case.spec, case.facts).lines()]
    assert [each for each in phrases if re.search(r"[A-Za-z]\(\w+=|\b(None|True|False)\b", each)] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_order_inside_is_safe(case: Case) -> None:
    inner = plan(case.spec, case.facts).inside
    order = [type(step) for step in inner]
    assert order[-1] is execution.Execute
    assert order.index(roottree.KeepMountsPrivate) < order.index(roottree.AttachRoot) < order.index(roottree.PivotRoot)
    # What follows the lock is put beneath the guest's own root, the only one there is by then.
    settled = order.index(locking.LockMounts) - 1 if locking.LockMounts in order else order.index(roottree.PivotRoot)
    assert settled == order.index(roottree.PivotRoot)
    laid = [
        n
        for n, step in enumerate(order)
        if step.__module__.endswith("roottree") and step not in {roottree.PivotRoot, roottree.ShareMounts}
    ]
    # Only what is the guest's own by then is shared, and all of it.
    if roottree.ShareMounts in order:
        assert order.index(roottree.ShareMounts) > max(*laid, order.index(roottree.PivotRoot))
    assert locking.LockMounts in order or max(laid) < settled
    guarding = [
        n
        for n, step in enumerate(order)
        if step in {protections.ProtectPaths, protections.MaskPaths, roottree.WriteSettings}
    ]
    assert all(n < settled for n in guarding) or locking.LockMounts not in order
    if confinement.LoadFilters in order:
        assert order.index(confinement.LoadFilters) < order.index(confinement.KeepCapabilities)
        assert order.index(roottree.PivotRoot) < order.index(confinement.LoadFilters)
    if namespaces.RootTheGroups in order and namespaces.JoinGroups in order:
        assert order.index(namespaces.JoinGroups) < order.index(namespaces.RootTheGroups)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fd_that_a_step_uses_is_made_by_one_before(case: Case) -> None:
    made = plan(case.spec, case.facts)
    available = {name for step in (*made.before, *made.meanwhile) if (name := getattr(step, "name", None))}
    available |= {name for step in made.meanwhile for name in getattr(step, "names", ())}
    for step in (*made.child_early, *made.inside):
        used = {getattr(step, "source", None), *getattr(step, "sources", ())} - {None}
        inside_the_guest = isinstance(step, roottree.ShowElsewhere)
        assert inside_the_guest or used <= available, f"{step} uses {used - available}"
        available |= {getattr(step, "name", "")}
    assert set(made.staged) <= available


@pytest.mark.parametrize("spec", [BUSYBOX, DEBIAN, PRIVILEGED])
def test_under_systemd_a_scope_is_taken_before_the_clone_and_all_else_is_as_without(spec: ContainerSpec) -> None:
    made, without = plan(spec, SYSTEMD), plan(spec, UNIFIED)
    assert [type(step) for step in made.before] == [scopes.TakeScope]
    assert [type(step) for step in without.before] == [groups.MakeGroup]
    assert made.meanwhile == without.meanwhile
    assert made.inside == without.inside


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_id_maps_are_written_before_anything_needs_them(case: Case) -> None:
    between = plan(case.spec, case.facts).meanwhile
    kinds = [type(step) for step in between]
    if childsetup.MapIds in kinds:
        mapping = kinds.index(childsetup.MapIds)
        assert all(n > mapping for n, kind in enumerate(kinds) if kind in {layers.CopyTree, layers.StackLayers})
    order = [step.needs_child for step in between]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("spec", "shared"),
    [
        (BUSYBOX, True),
        (DEBIAN, True),
        (PRIVILEGED, False),
        (replace(PRIVILEGED, seccomp=Seccomp(new_mounts=True)), True),
        (replace(PRIVILEGED, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED)), True),
    ],
)
def test_mounts_are_shared_where_the_guest_may_have_mount_namespaces(spec: ContainerSpec, shared: bool) -> None:
    assert any(isinstance(step, roottree.ShareMounts) for step in plan(spec, UNIFIED).inside) is shared


READ_ONLY = DirectoryRoot(path="/srv/box", access=Access.READ_ONLY)


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({"resolver": "search example\n"}, "search example\n"),
        ({"resolver": "search example\n", "nameservers": ("192.0.2.9",)}, "nameserver 192.0.2.9\n"),
        ({"resolver": "x", "root": READ_ONLY, "name_files": NameFiles(there=False)}, None),
        ({"resolver": "x", "root": READ_ONLY}, "x"),
        ({}, None),
    ],
)
def test_a_shared_networks_resolver_is_shown_where_it_can_be(changes: dict[str, Any], written: str | None) -> None:
    steps = [step for step in plan(replace(BUSYBOX, **changes), UNIFIED).inside if isinstance(step, ShowFile)]
    assert [step.content for step in steps if step.path == "etc/resolv.conf"] == ([] if written is None else [written])


def test_a_refused_spec_makes_no_plan() -> None:
    with pytest.raises(InvalidArgumentError):
        plan(replace(BUSYBOX, root=DirectoryRoot(path="/")), HYBRID)


def test_the_first_process_is_born_into_a_unified_group_and_joins_old_ones() -> None:
    hybrid, unified = plan(BUSYBOX, HYBRID), plan(BUSYBOX, UNIFIED)
    assert [type(step) for step in hybrid.before] == [type(step) for step in unified.before] == [groups.MakeGroup]
    assert any(isinstance(step, groups.MakeControllerGroups) for step in hybrid.meanwhile)
    assert isinstance(hybrid.inside[0], namespaces.JoinGroups)
    assert not any(isinstance(step, groups.MakeControllerGroups) for step in unified.meanwhile)
    assert not any(isinstance(step, namespaces.JoinGroups) for step in unified.inside)


def test_limits_are_set_only_where_there_are_some() -> None:
    limited = plan(replace(BUSYBOX, limits=Limits(pids=9)), UNIFIED)
    assert [step.limits for step in limited.meanwhile if isinstance(step, groups.LimitGroup)] == [Limits(pids=9)]
    bare = replace(UNIFIED, hierarchies=replace(UNIFIED.hierarchies, v2_controllers=("cpu",)))
    assert not any(isinstance(step, groups.LimitGroup) for step in plan(BUSYBOX, bare).meanwhile)


def test_processors_are_chosen_where_groups_can_be_held_to_them() -> None:
    seated = replace(BUSYBOX, seated=True)
    assert any(isinstance(step, groups.SeatGroup) for step in plan(seated, HYBRID).meanwhile)
    assert not any(isinstance(step, groups.SeatGroup) for step in plan(BUSYBOX, HYBRID).meanwhile)
    bare = replace(HYBRID, hierarchies=replace(HYBRID.hierarchies, v1=()))
    assert not any(isinstance(step, groups.SeatGroup) for step in plan(seated, bare).meanwhile)


def test_only_a_guest_without_a_user_namespace_is_locked_in() -> None:
    def locked(spec: ContainerSpec, facts: Facts = UNIFIED) -> bool:
        return any(isinstance(step, locking.LockMounts) for step in plan(spec, facts).inside)

    privileged = replace(BUSYBOX, idmap=None, privileged=True)
    assert locked(privileged)
    assert not locked(BUSYBOX)
    assert not locked(privileged, replace(UNIFIED, user_namespaces=False))


def test_only_what_the_guest_could_change_is_staged() -> None:
    bind = BindMount(source="/srv", target="/srv", access=Access.READ_ONLY)
    root = DirectoryRoot(path="/r", access=Access.READ_ONLY)
    assert plan(replace(BUSYBOX, root=root, mounts=(bind,)), UNIFIED).staged == ("root", "mount0")
    assert plan(BUSYBOX, UNIFIED).staged == ()
    privileged = replace(BUSYBOX, idmap=None, privileged=True, mounts=(bind,))
    assert plan(privileged, UNIFIED).staged == ()


def test_interfaces_come_with_a_socket_inside() -> None:
    made = plan(replace(BUSYBOX, interfaces=(VethInterface(guest="eth0"),)), UNIFIED)
    assert [type(step) for step in made.meanwhile[-2:]] == [childsetup.FetchNetlink, childsetup.ConnectInterfaces]
    network = next(step for step in made.child_early if isinstance(step, namespaces.MakeNetwork))
    assert network.netlink


def test_a_guest_on_the_hosts_network_makes_none_and_is_shown_the_hosts_sys() -> None:
    made = plan(replace(BUSYBOX, network=NetworkKind.HOST), UNIFIED)
    assert "net" not in made.clone.namespaces
    assert not any(isinstance(step, namespaces.MakeNetwork | namespaces.BringUpLoopback) for step in made.child_early)
    assert [step.path for step in made.meanwhile if isinstance(step, layers.CopyTree)][-1] == "/sys"


def test_an_unconfined_guest_loads_no_filter() -> None:
    made = plan(replace(BUSYBOX, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED)), UNIFIED)
    assert not any(isinstance(step, confinement.LoadFilters) for step in made.inside)


def test_capabilities_of_the_spec_replace_the_default() -> None:
    made = plan(replace(BUSYBOX, capabilities=frozenset({"kill", "chown"})), UNIFIED)
    kept = next(step for step in made.inside if isinstance(step, confinement.KeepCapabilities))
    assert kept.names == ["chown", "kill"]


def test_a_group_alone_makes_init_roots_user_with_that_group() -> None:
    made = plan(replace(BUSYBOX, init=Process(argv=("/init",), group="web")), UNIFIED)
    become = next(step for step in made.inside if isinstance(step, confinement.BecomeUser))
    assert (become.user, become.group) == ("0", "web")


def test_namespaces_that_are_not_wanted_are_not_made() -> None:
    made = plan(replace(BUSYBOX, namespaces=frozenset({Namespace.MOUNT, Namespace.PID})), UNIFIED)
    assert made.clone.namespaces == ("mnt", "pid", "user")
    assert not any(isinstance(step, namespaces.RootTheGroups) for step in made.inside)
    assert not any(isinstance(step, namespaces.SetHostname) for step in made.child_early)


@given(spec=specs(), facts=some.sampled_from((UNIFIED, HYBRID, SYSTEMD, CONFINED)))
def test_any_plan_survives_json_is_explained_and_depends_on_nothing_else(spec: ContainerSpec, facts: Facts) -> None:
    made = plan(spec, facts)
    assert LaunchPlan.decode(json.loads(json.dumps(made.encode()))) == made
    assert plan(spec, facts) == made
    assert all(where and does and why for where, does, why in made.lines())


def test_planning_touches_nothing_of_the_host() -> None:
    """Every file, process and socket call that Python makes is announced to audit hooks."""
    code = (
        "import sys; from tests.plans import CASES; from insula.engine.plan.planner import plan\n"
        "seen = []\n"
        "[plan(case.spec, case.facts) for case in CASES]\n"
        "sys.addaudithook(lambda event, _: seen.append(event))\n"
        "[plan(case.spec, case.facts) for case in CASES]\n"
        "print([event for event in seen if event.split('.')[0] in ('open', 'os', 'socket', 'subprocess', 'ctypes')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.strip() == "[]"


def test_a_profile_is_taken_after_the_last_name_is_looked_up_and_before_the_filter_that_may_refuse_it() -> None:
    order = [type(step) for step in plan(replace(BUSYBOX, profile="insula-guest-1"), UNIFIED).inside]
    assert order.index(confinement.TakeProfile) == order.index(confinement.LoadFilters) - 1
    for none in (None, ""):
        made = plan(replace(BUSYBOX, profile=none), UNIFIED)
        assert not any(isinstance(step, confinement.TakeProfile) for step in made.inside)
