"""Tests of insula.engine.steps.guest.gueststeptable: what holds for every step performed inside."""

import importlib
import inspect
import json
import pkgutil
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from insula.engine import codec
from insula.engine.steps import guest
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.gueststeptable import GUEST_STEPS
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
    assert "compile" in vars(kind)
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
    decoded = codec.decode(kind, json.loads(json.dumps(codec.encode(step))))
    assert type(decoded) is kind
    assert decoded == step
    assert str(decoded) == str(step)
