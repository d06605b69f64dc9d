"""The end of a run over several hosts: what it counts, and what it does not let pass."""

import json
from pathlib import Path

import pytest

from tests import summary
from tests.hosts import Profile
from tests.summary import Outcome, Report, Summary

NEEDS_V2_MEMORY = "requires: cgroup2.memory (the v2 hierarchy has no memory controller)"
NEEDS_V1_MEMORY = "requires: cgroup1.memory (no v1 hierarchy of the memory controller is mounted)"


@pytest.fixture(autouse=True)
def merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The whole list goes to a file of the test's own."""
    file = tmp_path / "build" / "merged.json"
    monkeypatch.setattr(summary, "MERGED", file)
    return file


def report(host: Profile, unlisted: tuple[str, ...] = (), **outcomes: str) -> Report:
    """outcomes: test → `passed`, `failed`, or the reason of its skip."""
    tests = {
        f"tests/system/test_a.py::{name}": Outcome(outcome=value, reason="")
        if value in ("passed", "failed")
        else Outcome(outcome="skipped", reason=value)
        for name, value in outcomes.items()
    }
    return Report(host=host, tests=tests, unlisted=unlisted)


def whole(started_on: Profile = Profile.HYBRID, *, machine: bool = True) -> Summary:
    return Summary(started_on=started_on, machine=machine, everything=True)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def test_a_test_that_ran_on_one_host_is_not_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed", two=NEEDS_V2_MEMORY), 0, seconds=1)
    run.add("there", report(Profile.MACHINE, one="passed", two="passed"), 0, seconds=2)
    assert run.close() == 0
    assert last_line(capsys) == "3 passed, 0 failed, 0 skipped"


def test_what_passes_in_the_second_look_is_told_as_unsteady_on_its_host_alone(
    capsys: pytest.CaptureFixture[str], merged: Path
) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="failed", two="passed"), 1, seconds=1)
    run.add("there", report(Profile.MACHINE, one="passed", two="passed"), 0, seconds=1)
    run.look_again(report(Profile.HYBRID, one="passed"))
    assert run.close() == 0
    out = capsys.readouterr().out.splitlines()
    assert f"UNSTEADY on {Profile.HYBRID}: tests/system/test_a.py::one" in out
    assert out[-1] == "3 passed, 0 failed, 0 skipped, 1 unsteady"
    assert json.loads(merged.read_text())["tests/system/test_a.py::one"][Profile.HYBRID] == "unsteady"


@pytest.mark.parametrize("second", ["failed", NEEDS_V2_MEMORY])
def test_what_does_not_pass_in_the_second_look_has_failed(second: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="failed", two="failed", three="passed"), 1, seconds=1)
    run.look_again(report(Profile.HYBRID, one=second, two="passed"))
    assert run.close() == 1
    out = capsys.readouterr().out.splitlines()
    assert f"FAILED on {Profile.HYBRID}: tests/system/test_a.py::one" in out
    assert out[-1] == "1 passed, 1 failed, 0 skipped, 1 unsteady"


def test_a_test_that_ran_on_no_host_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed", two=NEEDS_V2_MEMORY), 0, seconds=1)
    assert run.close() == 1
    out = capsys.readouterr().out
    assert f"FAULT ran on no host: tests/system/test_a.py::two: {NEEDS_V2_MEMORY}" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed, 1 skipped"


def test_without_the_machine_the_gap_is_excused_by_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole(machine=False)
    run.add("here", report(Profile.HYBRID, one="passed", two=NEEDS_V2_MEMORY), 0, seconds=1)
    assert run.close() == 0
    assert last_line(capsys) == "1 passed, 0 failed, 1 skipped"


def test_a_v1_test_may_run_nowhere_only_where_the_run_started_on_pure_v2() -> None:
    for started_on, status in ((Profile.UNIFIED, 0), (Profile.HYBRID, 1)):
        run = whole(started_on)
        run.add("here", report(started_on, one="passed", two=NEEDS_V1_MEMORY), 0, seconds=1)
        run.add("there", report(Profile.MACHINE, one="passed", two=NEEDS_V1_MEMORY), 0, seconds=1)
        assert run.close() == status


def test_a_selection_may_skip() -> None:
    run = Summary(started_on=Profile.HYBRID, machine=True, everything=False)
    run.add("here", report(Profile.HYBRID, one="passed", two=NEEDS_V2_MEMORY), 0, seconds=1)
    assert run.close() == 0


def test_a_failure_on_any_host_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed"), 0, seconds=1)
    run.add("there", report(Profile.MACHINE, one="failed"), 1, seconds=1)
    assert run.close() == 1
    out = capsys.readouterr().out
    assert "FAILED on machine: tests/system/test_a.py::one" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


def test_a_host_without_a_report_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed"), 0, seconds=1)
    run.add("there", None, 125, seconds=1)
    assert run.close() == 1
    assert last_line(capsys) == "1 passed, 1 failed, 0 skipped"


def test_an_exit_status_that_no_test_explains_fails_the_run() -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed"), 3, seconds=1)
    assert run.close() == 1


def test_an_unlisted_skip_counts_as_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, ("one: no time",), one="no time", two="passed"), 1, seconds=1)
    assert run.close() == 1
    assert "FAULT here: a skip that is not allowed: one: no time" in capsys.readouterr().out


def test_a_run_without_any_test_is_a_failure() -> None:
    run = Summary(started_on=Profile.HYBRID, machine=False, everything=False)
    run.add("here", report(Profile.HYBRID), 5, seconds=1)
    assert run.close() == 1


def test_two_parts_on_one_host_are_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed"), 0, seconds=1)
    run.add("here too", report(Profile.HYBRID, two="passed", three="failed"), 1, seconds=2)
    assert run.close() == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["tests/system/test_a.py", "2", "1!"] in lines
    assert ["time", "3", "s"] in lines
    assert lines[-1] == ["2", "passed,", "1", "failed,", "0", "skipped"]


def test_the_table_and_the_kept_list_say_what_ran_where(capsys: pytest.CaptureFixture[str], merged: Path) -> None:
    run = whole()
    run.add("here", report(Profile.HYBRID, one="passed", two=NEEDS_V2_MEMORY), 0, seconds=61)
    run.add("there", report(Profile.MACHINE, one="failed", two="passed"), 1, seconds=2)
    run.close()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["tests/system/test_a.py", "1", "1-", "1", "1!"] in lines
    assert ["time", "61", "s", "2", "s"] in lines
    assert json.loads(merged.read_text())["tests/system/test_a.py::one"] == {"hybrid": "passed", "machine": "failed"}


def costly(seconds: float) -> Report:
    tests = {"tests/unit/rpc/test_a.py::one": Outcome(outcome="passed", reason="", seconds=7, processor=seconds)}
    return Report(host=Profile.HYBRID, tests=tests, unlisted=())


def test_a_room_over_its_budget_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", costly(5000), 0, seconds=1)
    assert run.close() == 1
    out = capsys.readouterr().out
    assert "FAULT over budget: unit/rpc used 5000 processor seconds on hybrid" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize(("everything", "sampled"), [(False, True), (True, False)])
def test_a_selection_and_a_run_of_every_case_have_no_budget(everything: bool, sampled: bool) -> None:
    run = Summary(started_on=Profile.HYBRID, machine=True, everything=everything, sampled=sampled)
    run.add("here", costly(5000), 0, seconds=1)
    assert run.close() == 0


def test_the_cost_of_each_room_is_told_beside_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    run = whole()
    run.add("here", costly(5), 0, seconds=1)
    run.close()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["unit/rpc", "5", "/", "60", "(7", "s)"] in lines
