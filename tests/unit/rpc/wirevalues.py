"""Hypothesis strategies for the values of a notation, read here a second time, independently of the codec."""

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
UUID = st.binary(min_size=16, max_size=16)
INT = st.integers(-(2**31), 2**31 - 1)
UINT = st.integers(0, 2**32 - 1)
LLONG = st.integers(-(2**63), 2**63 - 1)
ULLONG = st.integers(0, 2**64 - 1)
DOUBLE = st.floats(allow_nan=False)
DOMAIN = st.tuples(TEXT, UUID, INT)
NAMED = st.tuples(TEXT, UUID)

CONTENTS: Mapping[int, Values] = {1: INT, 2: UINT, 3: LLONG, 4: ULLONG, 5: DOUBLE, 6: INT, 7: TEXT}
PARAMETER = st.one_of([st.tuples(TEXT, st.just(kind), content) for kind, content in CONTENTS.items()])

WORDS: Mapping[str, Values] = {
    "i": INT,
    "u": UINT,
    "q": LLONG,
    "Q": ULLONG,
    "d": DOUBLE,
    "s": TEXT,
    "c4": st.integers(0, 255),
    "u4": st.integers(0, 65535),
    "uuid": UUID,
    "P": PARAMETER,
    "dom": DOMAIN,
    "net": NAMED,
    "pool": NAMED,
    "nwf": NAMED,
    "nwfb": st.tuples(TEXT, TEXT),
    "vol": st.tuples(TEXT, TEXT, TEXT),
    "ndev": st.tuples(TEXT),
    "iface": st.tuples(TEXT, TEXT),
    "secret": st.tuples(UUID, INT, TEXT),
    "snap": st.tuples(TEXT, DOMAIN),
    "ckpt": st.tuples(TEXT, DOMAIN),
    "nport": st.tuples(NAMED, UUID),
}


def values_of(notation: str) -> Values:
    """Tuples of values for the fields of a notation."""
    return st.tuples(*(_value(kind) for kind in _split(notation)))


def _split(notation: str) -> list[str]:
    """The types of the fields that stand side by side; what is in braces or brackets stays together."""
    fields, depth, current = [], 0, ""
    for character in f"{notation} ":
        depth += {"{": 1, "}": -1, "(": 1, ")": -1}.get(character, 0)
        if character in " ," and depth == 0:
            if current and "*" not in current:
                fields.append(current.split(":", 1)[1])
            current = ""
        else:
            current += character
    return fields


def _value(kind: str) -> Values:
    if bounded := re.fullmatch(r"[iu]\((?:(-?\d+),)?(\d+)\)", kind):
        return st.integers(int(bounded[1] or 0), min(9, int(bounded[2])))  # small: their products have limits too
    if fixed := re.fullmatch(r"c4\[(\d+)\]", kind):
        return st.binary(max_size=int(fixed[1])).map(lambda value: value.rstrip(b"\0"))
    if sized := re.fullmatch(r"(c4|opaque)<(\d*)>", kind):
        return st.binary(max_size=min(9, int(sized[2] or 9)))
    if listed := re.fullmatch(r"(.*)<(\d*)>", kind):
        return st.lists(_value(listed[1]), max_size=min(3, int(listed[2] or 3))).map(tuple)
    if kind.endswith("?"):
        return st.none() | _value(kind[:-1])
    if kind.startswith("{"):
        return values_of(kind[1:-1])
    return WORDS[kind]
