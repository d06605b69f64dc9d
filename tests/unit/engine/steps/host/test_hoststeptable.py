"""Tests of insula.engine.steps.host.hoststeptable: what holds for every step performed on the host's side."""

import importlib
import inspect
import json
import pkgutil
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from insula.engine import codec
from insula.engine.steps import host
from insula.engine.steps.guest.gueststeptable import GUEST_STEPS
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.hoststeptable import HOST_STEPS
from tests.examples import examples
from tests.unit.engine.steps.stepvalues import values

KINDS = pytest.mark.parametrize("kind", HOST_STEPS.values(), ids=HOST_STEPS.keys())


def test_every_step_of_the_room_is_registered_under_its_name() -> None:
    modules = [importlib.import_module(f"{host.__name__}.{each.name}") for each in pkgutil.iter_modules(host.__path__)]
    defined = {
        name: kind
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        # What only gathers common ground says nothing of its own.
        if issubclass(kind, HostStep) and hasattr(kind, "phrase")
    }
    assert defined == HOST_STEPS


def test_no_name_stands_for_a_step_on_each_side() -> None:
    assert HOST_STEPS.keys() & GUEST_STEPS.keys() == set()


@KINDS
def test_every_step_says_what_it_is(kind: type[HostStep]) -> None:
    assert inspect.getdoc(kind) not in {None, inspect.getdoc(HostStep)}
    assert not kind.phrase.endswith(".")
    assert kind.phrase[0].islower()


def test_no_two_steps_say_the_same_unless_they_do_the_same() -> None:
    own = [kind.phrase for kind in HOST_STEPS.values() if "phrase" in vars(kind)]
    assert sorted(set(own)) == sorted(own)


@KINDS
def test_a_phrase_names_only_fields_of_its_step(kind: type[HostStep]) -> None:
    parameters = set(inspect.signature(kind).parameters)
    assert {name for _, name, _, _ in Formatter().parse(kind.phrase) if name is not None} <= parameters
    # The name of a step stands among its fields in JSON.
    assert "step" not in parameters


@KINDS
@settings(max_examples=examples(10))
@given(data=some.data())
def test_any_step_survives_json_and_still_says_the_same(data: some.DataObject, kind: type[HostStep]) -> None:
    step: HostStep = data.draw(values(kind))
    decoded = codec.decode(kind, json.loads(json.dumps(codec.encode(step))))
    assert type(decoded) is kind
    assert decoded == step
    assert str(decoded) == str(step)
