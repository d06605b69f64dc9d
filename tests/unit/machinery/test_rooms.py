"""Rooms and their budgets: what counts as one, and what is told of excess."""

from pathlib import Path

from tests.hosts import Profile
from tests.rooms import Budget, Budgets, budgets, by_room

CHECKOUT = Path(__file__).parents[3]
KNOWN = Budgets(
    every=Budget(host=60, machine=90),
    own={"e2e/virsh": Budget(host=100, machine=90)},
    files={"e2e/virsh": ("tests/e2e/test_virsh*.py",)},
)


def test_a_room_is_a_directory_two_levels_deep_unless_files_are_named() -> None:
    assert KNOWN.room("tests/unit/engine/steps/guest/test_a.py") == "unit/engine"
    assert KNOWN.room("tests/unit/test_layout.py") == "unit"
    assert KNOWN.room("tests/test_house.py") == "tests"
    assert KNOWN.room("tests/e2e/test_virsh_commands.py") == "e2e/virsh"
    assert KNOWN.room("tests/e2e/test_other.py") == "e2e"


def test_costs_are_added_up_by_room() -> None:
    costs = {
        "tests/unit/rpc/test_a.py::one": 1.0,
        "tests/unit/rpc/test_b.py::two[x::y]": 2.0,
        "tests/fuzz/test_c.py": 4.0,
    }
    assert by_room(costs, KNOWN) == {"unit/rpc": 3.0, "fuzz": 4.0}


def test_only_what_is_over_its_own_budget_on_a_host_is_told() -> None:
    used: dict[str, dict[str, float]] = {
        Profile.HYBRID: {"unit/rpc": 60.0, "fuzz": 60.5, "e2e/virsh": 99.0},
        Profile.MACHINE: {"unit/rpc": 89.0, "e2e/virsh": 91.0},
    }
    assert [line.split(",")[0] for line in KNOWN.excess(used)] == [
        "fuzz used 60 processor seconds on hybrid",
        "e2e/virsh used 91 processor seconds on machine",
    ]


def test_every_room_of_files_has_files_and_every_budget_of_its_own_a_room() -> None:
    known = budgets()
    files = [str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "tests").rglob("test_*.py")]
    rooms = {known.room(file) for file in files}
    assert known.files.keys() <= rooms
    assert known.own.keys() <= rooms
