"""Tests of insula.engine.steps.guest.registry: what holds for every step performed inside."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from string import Formatter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from insula.engine.steps import guest
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.registry import GUEST_STEPS, STEP, decode_guest_step, encode_guest_step
from tests.examples import examples
from tests.unit.engine.steps.stepvalues import values

KINDS = pytest.mark.parametrize("kind", GUEST_STEPS.values(), ids=GUEST_STEPS.keys())


def test_every_step_of_the_room_is_registered_under_its_name() -> None:
    modules = [
        importlib.import_module(f"{guest.__name__}.{each.name}") for each in pkgutil.iter_modules(guest.__path__)
    ]
    defined = {
        name: kind
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, GuestStep) and kind is not GuestStep and kind.__module__ == module.__name__
    }
    assert defined == GUEST_STEPS


@KINDS
def test_every_step_says_what_it_is(kind: type[GuestStep]) -> None:
    assert "phrase" in vars(kind)
    assert "perform" in vars(kind)
    assert inspect.getdoc(kind) not in {None, inspect.getdoc(GuestStep)}
    assert not kind.phrase.endswith(".")
    assert kind.phrase[0].islower()


def test_no_two_steps_say_the_same() -> None:
    assert len({kind.phrase for kind in GUEST_STEPS.values()}) == len(GUEST_STEPS)


@KINDS
def test_a_phrase_names_only_fields_of_its_step(kind: type[GuestStep]) -> None:
    named = {name for _, name, _, _ in Formatter().parse(kind.phrase) if name is not None}
    assert named <= set(inspect.signature(kind).parameters)


@KINDS
@settings(max_examples=examples(10))
@given(data=some.data())
def test_any_step_survives_json_and_still_says_the_same(data: some.DataObject, kind: type[GuestStep]) -> None:
    step: GuestStep = data.draw(values(kind))
    decoded = decode_guest_step(json.loads(json.dumps(encode_guest_step(step))))
    assert type(decoded) is kind
    assert decoded == step
    assert str(decoded) == str(step)


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({}, "no such step: None"),
        ({STEP: "PourConcrete", "why": "no"}, "no such step: 'PourConcrete'"),
        ({STEP: "GuestStep", "why": "no"}, "no such step: 'GuestStep'"),
        ({STEP: "SetHostname", "why": "asked for"}, "name"),
        ({STEP: "PivotRoot", "why": "asked for", "more": 1}, "more"),
    ],
)
def test_what_is_no_step_is_refused(told: dict[str, Any], complaint: str) -> None:
    with pytest.raises((ValueError, TypeError), match=complaint):
        decode_guest_step(told)


def test_decoding_leaves_the_message_as_it_was() -> None:
    told = {STEP: "PivotRoot", "why": "asked for"}
    decode_guest_step(told)
    assert told == {STEP: "PivotRoot", "why": "asked for"}


def test_the_steps_load_nothing_heavy_into_the_keeper() -> None:
    program = f"import {decode_guest_step.__module__}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    rooms = {name for name in loaded.stdout.split() if name.startswith("insula.")}
    assert {"asyncio", "lxml", "jeepney", "seccomp", "subprocess", "logging"}.isdisjoint(loaded.stdout.split())
    assert {name for name in rooms if name.startswith("insula.engine")} <= {
        "insula.engine",
        "insula.engine.steps",
        "insula.engine.steps.step",
        *(name for name in rooms if name.startswith("insula.engine.steps.guest")),
    }
