import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from insula.errors import InternalError
from insula.model.domain import DomainDefinition
from insula.model.security import Capability
from insula.model.sizes import KiB
from insula.model.xmlmap import (
    Attribute,
    Element,
    Mapped,
    Part,
    Shape,
    Text,
    always,
    clark,
    facts_of,
    is_generated_alias,
    plan_of,
)
from tests.unit.model.corpus import DOMAINS, paths_in


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf(Mapped):
    size: Annotated[KiB, Text(unit="unit")]
    kept: Annotated[str | None, Attribute("kept")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree(Mapped):
    id: Annotated[int | None, Attribute("id", live=always)] = None
    required: Annotated[str, Element("required")]
    leaves: Annotated[tuple[Leaf, ...], Element("leaf")] = ()
    shared: Annotated[bool, Element("lxc:shared")] = False


def test_an_annotation_says_place_type_and_whether_it_must_be_there() -> None:
    plans = {each.field: each for each in (*plan_of(Tree).attributes, *plan_of(Tree).elements)}
    assert [each for each in plans if plans[each].required] == ["required"]
    assert plans["leaves"].repeats
    assert plans["leaves"].mapped is Leaf
    assert plans["shared"].shape is Shape.FLAG
    assert plan_of(Leaf).text is not None


def test_a_live_fact_is_shown_only_with_the_live_part() -> None:
    fact = Attribute("id", live=always)
    assert fact.is_shown(5, Part.LIVE)
    assert fact.is_read(5, Part.LIVE)
    assert not fact.is_shown(5, Part.SECRET)
    assert not fact.is_read(5, Part.SECRET)


def test_a_secret_is_always_read_and_shown_only_with_the_secret_part() -> None:
    fact = Attribute("passwd", secret=always)
    assert fact.is_read("sesame", Part.DEFINITION)
    assert not fact.is_shown("sesame", Part.LIVE)
    assert fact.is_shown("sesame", Part.SECRET)


def test_aliases_of_users_are_not_live() -> None:
    assert is_generated_alias("net0")
    assert not is_generated_alias("ua-net")


def test_prefixes_stand_for_their_namespaces() -> None:
    assert clark("lxc:sharenet") == "{http://libvirt.org/schemas/domain/lxc/1.0}sharenet"
    assert clark("name") == "name"


def test_a_field_without_a_fact_is_a_mistake_of_ours() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Bare(Mapped):
        name: str

    with pytest.raises(InternalError, match=r"Bare\.name has no fact"):
        plan_of(Bare)


def test_a_type_nobody_can_spell_is_a_mistake_of_ours() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Odd(Mapped):
        name: Annotated[complex, Attribute("name")]

    with pytest.raises(InternalError, match=r"Odd\.name has the type .*complex"):
        plan_of(Odd)


def test_text_beside_elements_is_a_mistake_of_ours() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Mixed(Mapped):
        text: Annotated[str, Text()]
        name: Annotated[str, Element("name")]

    with pytest.raises(InternalError, match="text beside child elements"):
        plan_of(Mixed)


def test_facts_are_listed_with_their_paths() -> None:
    assert [path for path, _plan in facts_of(Tree, "tree")] == [
        "tree/@id",
        "tree/required",
        "tree/leaf",
        "tree/leaf/@kept",
        "tree/leaf/text()",
        "tree/lxc:shared",
    ]


def test_every_element_of_a_domain_is_in_the_reference() -> None:
    reference = (Path(__file__).parents[3] / "docs/reference/domain-xml.md").read_text()
    places = (path.split("/")[1:] for path, _plan in facts_of(DomainDefinition, "domain"))
    elements = {each for parts in places for each in parts if not each.startswith("@") and not each.endswith("()")}
    words = set(re.findall(r"[\w:-]+", reference)) | set(Capability)
    assert sorted(elements - words) == []


def test_every_fact_of_a_domain_stands_in_some_domain_of_the_corpus() -> None:
    found = set[str]().union(*(paths_in(path.read_text()) for path in DOMAINS if "linuxcontainer" not in path.name))
    nowhere = ("name()", "outbound/@floor")
    facts = [path for path, _plan in facts_of(DomainDefinition, "domain") if not path.endswith(nowhere)]
    assert len(facts) > 350
    assert [path for path in facts if path not in found] == []
