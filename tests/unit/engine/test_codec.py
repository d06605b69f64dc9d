"""Tests of insula.engine.codec."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.engine import spec
from insula.engine.codec import decode, encode, loads
from insula.engine.interfacespec import VethInterface

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
_PATHS = _TEXT.map(lambda text: f"/{text}")
_RANGES = st.builds(spec.IdRange, inside=st.integers(0, 9), outside=st.integers(1, 2**31), count=st.integers(1, 65536))
_ROOTS = st.one_of(
    st.builds(spec.DirectoryRoot, path=_PATHS, access=st.sampled_from(spec.Access)),
    st.builds(spec.OverlayRoot, lower=st.lists(_PATHS, min_size=1).map(tuple), upper=_PATHS, work=_PATHS),
    st.builds(spec.TmpfsRoot, lower=st.lists(_PATHS).map(tuple), size=st.none() | st.integers(1).map(spec.Bytes)),
)
_MOUNTS = st.one_of(
    st.builds(spec.BindMount, source=_PATHS, target=_PATHS, idmapped=st.booleans()),
    st.builds(spec.TmpfsMount, target=_PATHS, mode=st.integers(0, 0o7777)),
    st.builds(spec.ImageMount, source=_PATHS, target=_PATHS, fstype=st.none() | _TEXT),
    st.builds(spec.GuestBindMount, source=_PATHS, target=_PATHS),
)
_SPECS = st.builds(
    spec.ContainerSpec,
    name=_TEXT,
    uuid=st.uuids().map(str),
    root=_ROOTS,
    mounts=st.lists(_MOUNTS).map(tuple),
    idmap=st.none() | st.builds(spec.IdMap, uids=st.lists(_RANGES).map(tuple), gids=st.lists(_RANGES).map(tuple)),
    namespaces=st.frozensets(st.sampled_from(spec.Namespace)),
    capabilities=st.none() | st.frozensets(_TEXT),
    sysctls=st.lists(st.tuples(_TEXT, _TEXT)).map(tuple),
    time_offsets=st.none() | st.tuples(st.integers(), st.integers()),
    limits=st.builds(spec.Limits, memory=st.none() | st.integers(0).map(spec.Bytes)),
    init_kind=st.sampled_from(spec.InitKind),
)


@given(_SPECS)
def test_any_spec_survives_json(wanted: spec.ContainerSpec) -> None:
    assert decode(spec.ContainerSpec, json.loads(json.dumps(encode(wanted)))) == wanted


def minimal() -> spec.ContainerSpec:
    return spec.ContainerSpec(name="n", uuid="u", root=spec.DirectoryRoot(path="/r"))


def test_what_holds_its_default_is_left_out_and_unions_say_which() -> None:
    assert encode(minimal()) == {"name": "n", "uuid": "u", "root": {"kind": "DirectoryRoot", "path": "/r"}}


def test_what_was_written_before_its_type_became_a_union_is_of_the_first_member() -> None:
    card = VethInterface(guest="eth0", bridge="br0")
    old = {**encode(minimal()), "interfaces": [{"guest": "eth0", "bridge": "br0"}]}
    assert decode(spec.ContainerSpec, old).interfaces == (card,)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([], "ContainerSpec should be an object"),
        ({"name": "n", "uuid": "u", "mounts": "abc"}, "ContainerSpec.mounts should be a list, not 'abc'"),
        ({"name": "n", "uuid": "u"}, "ContainerSpec: .*root"),
        (
            {"name": 1, "uuid": "u", "root": {"kind": "TmpfsRoot", "lower": []}},
            "ContainerSpec.name should be str, not 1",
        ),
        ({"name": "n", "uuid": "u", "root": {"kind": "Nonsense"}}, "ContainerSpec.root should be one of DirectoryRoot"),
        ({"name": "n", "uuid": "u", "root": {"kind": "TmpfsRoot", "lower": []}, "extra": 1}, "has no extra"),
        (
            {"name": "n", "uuid": "u", "root": {"kind": "DirectoryRoot", "path": "/", "access": "x"}},
            "'x' is not a valid Access",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused_with_the_place(data: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode(spec.ContainerSpec, data)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    number: float


@dataclass(frozen=True)
class Outer:
    colours: tuple[Colour, ...]
    pair: tuple[int, str]
    inner: Inner | None
    choices: tuple[Inner | Colour, ...] = ()


def test_nested_values_optional_ones_and_pairs_come_back_typed() -> None:
    value = Outer(colours=(Colour.RED,), pair=(1, "a"), inner=Inner(number=1))
    assert decode(Outer, json.loads(json.dumps(encode(value)))) == value
    assert decode(Outer, {"colours": [], "pair": [2, "b"], "inner": None}).inner is None


def test_a_pair_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        decode(Outer, {"colours": [], "pair": [2], "inner": None})


@pytest.mark.parametrize("value", [object(), b"bytes", {1: object()}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="does not survive JSON"):
        encode(value)


@pytest.mark.parametrize("text", ["{", b"\xff", "[" * 2000, '{"a":' * 2000, "1" * 5000])
def test_what_is_no_json_or_too_much_of_it_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        loads(text)
