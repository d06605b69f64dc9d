import pytest

from insula.engine.launch.programs import GROUPS_MAX, entering_program, room_for, start_program
from insula.engine.plan.planner import plan
from insula.engine.program.listing import Listing
from insula.engine.steps.guest.namespaces import JoinGroups, SetHostname
from insula.errors import StepError
from tests.plans import CASES, PRIVILEGED, UNIFIED, Case, golden_program, listing

ALL = (1 << 41) - 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_program_is_the_one_that_was_recorded(case: Case) -> None:
    """Whoever changes a step on purpose runs `python -m tests.plans`, and reads what has changed."""
    assert listing(case).splitlines() == golden_program(case).read_text().splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_plan_compiles_and_marks_all_its_steps(case: Case) -> None:
    made = plan(case.spec, case.facts)
    program = start_program(case.spec, made, permitted=ALL, hold=False)
    steps = [*map(str, made.child_early), "wait for what the host prepares", *map(str, made.inside)]
    assert [mark.step for mark in program.marks] == steps
    assert len(set(program.passed)) == len(program.passed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_program_receives_what_is_made_for_it_and_not_what_is_staged(case: Case) -> None:
    made = plan(case.spec, case.facts)
    program = start_program(case.spec, made, permitted=ALL, hold=False)
    named = {step.name for step in made.meanwhile if hasattr(step, "name") and isinstance(step.name, str)}
    others = {name for name in program.passed if not name.startswith(("inherited", "join")) and name != "account"}
    assert others <= named
    assert others.isdisjoint(made.staged)


def test_a_guest_without_a_user_namespace_has_no_more_than_the_keeper() -> None:
    made = plan(PRIVILEGED, UNIFIED)
    whole, less = (start_program(PRIVILEGED, made, permitted=mask, hold=False).image for mask in (ALL, ALL & ~1))
    assert whole != less


def test_a_program_that_is_held_waits_right_before_it_executes() -> None:
    case = CASES[0]
    made = plan(case.spec, case.facts)
    lines = [
        list(Listing(start_program(case.spec, made, permitted=ALL, hold=hold).image).lines()) for hold in (False, True)
    ]
    assert [sum("recvmsg" in line for line in each) for each in lines] == [1, 2]


def test_who_enters_receives_inits_pidfd_first() -> None:
    steps = (JoinGroups(why="-", count=2),)
    assert entering_program(PRIVILEGED, steps, permitted=ALL, most_groups=1).passed == ("init", "join0", "join1")


def test_a_step_that_cannot_be_said_is_named() -> None:
    with pytest.raises(StepError, match=r"cannot set the host name to .*: a text for the kernel has a zero") as caught:
        entering_program(PRIVILEGED, (SetHostname(why="-", name="a\0b"),), permitted=ALL, most_groups=1)
    assert caught.value.step.startswith("set the host name")


def test_few_kinds_of_rooms_serve_all_numbers_of_groups() -> None:
    assert {room_for(count) for count in range(0, GROUPS_MAX, 997)} == {64, GROUPS_MAX}
    assert all(room_for(count) >= count for count in (0, 64, 65, GROUPS_MAX))
