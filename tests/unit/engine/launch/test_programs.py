import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from insula.engine.facts import Facts
from insula.engine.launch.programs import GROUPS_MAX, Programs, room_for
from insula.engine.plan.planner import plan
from insula.engine.program.disassembly import Disassembly
from insula.engine.program.late import Late
from insula.engine.spec import Process, ResourceLimit, Seccomp
from insula.engine.steps.guest.execution import Execute
from insula.engine.steps.guest.namespaces import JoinGroups, SetHostname
from insula.errors import StepError
from tests.plans import CASES, DEBIAN, HYBRID, PRIVILEGED, UNIFIED, Case, golden_program, listing

ALL = (1 << 41) - 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_program_is_the_one_that_was_recorded(case: Case) -> None:
    """Whoever changes a step on purpose runs `python -m tests.plans`, and reads what has changed."""
    assert listing(case).splitlines() == golden_program(case).read_text().splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_plan_compiles_and_marks_all_its_steps(case: Case) -> None:
    made = plan(case.spec, case.facts)
    program = Programs().start(case.spec, made, permitted=ALL, hold=False)
    steps = [*map(str, made.child_early), "wait for what the host prepares", *map(str, made.inside)]
    assert [mark.step for mark in program.marks] == steps
    assert len(set(program.passed)) == len(program.passed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_program_receives_what_is_made_for_it_and_not_what_is_staged(case: Case) -> None:
    made = plan(case.spec, case.facts)
    program = Programs().start(case.spec, made, permitted=ALL, hold=False)
    named = {step.name for step in made.meanwhile if hasattr(step, "name") and isinstance(step.name, str)}
    others = {name for name in program.passed if not name.startswith(("inherited", "join")) and name != "account"}
    assert others <= named
    assert others.isdisjoint(made.staged)


def test_a_guest_without_a_user_namespace_has_no_more_than_the_keeper() -> None:
    made = plan(PRIVILEGED, UNIFIED)
    whole, less = (Programs().start(PRIVILEGED, made, permitted=mask, hold=False).image for mask in (ALL, ALL & ~1))
    assert whole != less


def test_a_program_that_is_held_waits_right_before_it_executes() -> None:
    case = CASES[0]
    made = plan(case.spec, case.facts)
    images = [Programs().start(case.spec, made, permitted=ALL, hold=hold).image for hold in (False, True)]
    lines = [list(Disassembly(image).lines()) for image in images]
    assert [sum("recvmsg" in line for line in each) for each in lines] == [1, 2]


def test_who_enters_receives_inits_pidfd_first() -> None:
    steps = (JoinGroups(why="-", count=2),)
    assert Programs().entering(PRIVILEGED, steps, permitted=ALL, most_groups=1).passed == ("init", "join0", "join1")


def test_a_step_that_cannot_be_said_is_named() -> None:
    with pytest.raises(StepError, match=r"cannot set the host name to .*: a text for the kernel has a zero") as caught:
        Programs().entering(PRIVILEGED, (SetHostname(why="-", name="a\0b"),), permitted=ALL, most_groups=1)
    assert caught.value.step.startswith("set the host name")


def test_few_kinds_of_rooms_serve_all_numbers_of_groups() -> None:
    assert {room_for(count) for count in range(0, GROUPS_MAX, 997)} == {64, GROUPS_MAX}
    assert all(room_for(count) >= count for count in (0, 64, 65, GROUPS_MAX))


OTHER = replace(
    DEBIAN, name="a-longer-name", uuid="11111111-2222-3333-4444-555555555555", hostname="other", machine_id="0" * 32
)


@pytest.mark.parametrize("facts", [UNIFIED, HYBRID])
def test_guests_that_differ_in_names_and_ids_share_a_program_and_each_has_its_own(facts: Facts) -> None:
    programs = Programs()
    for spec in (DEBIAN, OTHER, DEBIAN):
        made = plan(spec, facts)
        shared = programs.start(spec, made, permitted=ALL, hold=False)
        own = Programs().start(spec, made, permitted=ALL, hold=False)
        assert shared.image == own.image
        assert [mark.step for mark in shared.marks] == [mark.step for mark in own.marks]
        texts = [f"LIBVIRT_LXC_NAME={spec.name}", f"LIBVIRT_LXC_UUID={spec.uuid}", f"container_uuid={spec.machine_id}"]
        assert all(f"{text}\0".encode() in shared.image for text in texts)
        assert f'sethostname("{spec.hostname}", ' in "".join(Disassembly(shared.image).lines())
    assert len(programs._templates) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"consoles": 3},
        {"nameservers": ()},
        {"capabilities": frozenset({"chown"})},
        {"resource_limits": (ResourceLimit(name="CORE", soft=0, hard=0),)},
        {"init": Process(argv=("/bin/sh",))},
        {"init": Process(argv=DEBIAN.init.argv, env=(("A", "b"),))},
        {"idmap": None, "privileged": True, "interfaces": ()},
        {"seccomp": Seccomp(refuse=("uname",))},
        {"no_new_privileges": True},
    ],
    ids=str,
)
def test_whatever_else_differs_has_a_program_of_its_own(change: dict[str, Any]) -> None:
    programs = Programs()
    for spec in (DEBIAN, replace(DEBIAN, **change)):
        programs.start(spec, plan(spec, UNIFIED), permitted=ALL, hold=False)
    assert len(programs._templates) == 2


def test_the_keepers_capabilities_and_a_hold_make_other_programs() -> None:
    programs = Programs()
    made = plan(PRIVILEGED, UNIFIED)
    for permitted, hold in ((ALL, False), (ALL & ~2, False), (ALL, True), (ALL, False)):
        programs.start(PRIVILEGED, made, permitted=permitted, hold=hold)
    assert len(programs._templates) == 3


def test_what_is_known_of_a_spec_counts_for_its_plan_alone() -> None:
    programs = Programs()
    first = programs.start(DEBIAN, plan(DEBIAN, UNIFIED), permitted=ALL, hold=False)
    other = programs.start(DEBIAN, plan(DEBIAN, HYBRID), permitted=ALL, hold=False)
    assert first.image != other.image
    assert other.image == Programs().start(DEBIAN, plan(DEBIAN, HYBRID), permitted=ALL, hold=False).image


def test_no_more_shapes_are_kept_than_some() -> None:
    programs = Programs()
    for count in range(140):
        programs.entering(DEBIAN, (JoinGroups(why="-", count=count),), permitted=ALL, most_groups=1)
    assert len(programs._templates) == 128


def test_long_arguments_do_not_pile_up() -> None:
    """128 programs of an `exec` with megabytes of arguments each stayed in the daemon."""
    programs = Programs()
    for number in range(8):
        step = Execute(why="-", argv=["/bin/echo", f"{number}" * (3 << 20)], env=[])
        programs.entering(DEBIAN, (step,), permitted=ALL, most_groups=1)
    kept = [len(each.image) for each in programs._templates.values()]
    assert 0 < sum(kept) == programs._images <= 16 << 20


@settings(max_examples=20, deadline=None)
@given(name=some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_late_text_is_where_the_program_looks_for_it(name: str) -> None:
    programs = Programs()
    for text in ("short", name):
        program = programs.entering(DEBIAN, (SetHostname(why="-", name=Late(text)),), permitted=ALL, most_groups=1)
        wanted = f"sethostname({json.dumps(text, ensure_ascii=False)}, "
        (line,) = [each for each in Disassembly(program.image).lines() if each.startswith("sethostname")]
        assert line.startswith(wanted)
    assert len(programs._templates) == 1
