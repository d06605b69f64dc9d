"""Tests of insula.engine.plan.plan."""

import json

import pytest

from insula.engine.plan.plan import LaunchPlan
from insula.engine.plan.planner import plan
from tests.plans import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_plan_survives_json(case: Case) -> None:
    made = plan(case.spec, case.facts)
    assert LaunchPlan.decode(json.loads(json.dumps(made.encode()))) == made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_step_says_what_and_why_in_one_line(case: Case) -> None:
    made = plan(case.spec, case.facts)
    rows = list(made.lines())
    parts = (made.before, made.child_early, made.meanwhile, made.inside)
    assert len(rows) == sum(map(len, parts)) + 1
    for place, text, why in rows:
        assert place in {"before", "clone", "inside, meanwhile", "meanwhile", "inside"}
        assert text
        assert "{" not in text.replace("{id}", "")
        assert why
        assert "\n" not in text + why


@pytest.mark.parametrize("part", ["before", "child_early", "meanwhile", "inside"])
def test_a_plan_with_an_unknown_step_is_refused(part: str) -> None:
    data = plan(CASES[0].spec, CASES[0].facts).encode()
    data[part].append({"step": "BurnTheHouseDown", "why": "no"})
    with pytest.raises(ValueError, match="no such step: 'BurnTheHouseDown'"):
        LaunchPlan.decode(data)
