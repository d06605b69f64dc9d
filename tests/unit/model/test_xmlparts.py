"""Which parts of a document a value has something of decides which of its texts are the same."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings

from insula.model.devices import Graphics
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.model.xmlmap import Part
from insula.model.xmlparts import parts_in
from insula.model.xmlwriter import dump
from tests.examples import FEW, examples
from tests.unit.model.corpus import DATA, DOMAINS
from tests.unit.model.strategies import values

LIVE = (DATA / "domains/live.xml").read_text()
EVERY = [Part.DEFINITION, Part.LIVE, Part.SECRET, Part.LIVE | Part.SECRET]


def test_a_definition_has_nothing_of_a_part_and_a_running_domain_has() -> None:
    assert parts_in(DomainDefinition.load(LIVE)) is Part.DEFINITION
    assert parts_in(DomainDefinition.load(LIVE, Part.LIVE)) is Part.LIVE


def test_passwords_are_secret_wherever_they_stand() -> None:
    web = DomainDefinition.load(LIVE)
    graphics = (Graphics(type="vnc", password="p"),)
    assert parts_in(replace(web, devices=replace(web.devices, graphics=graphics))) is Part.SECRET


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: path.stem)
def test_documents_are_the_same_if_they_differ_in_parts_that_a_value_has_nothing_of(path: Path) -> None:
    domain = DomainDefinition.load(path.read_text(), Part.LIVE)
    found = parts_in(domain)
    for one, other in product(EVERY, EVERY):
        same = dump(domain, "domain", one) == dump(domain, "domain", other)
        assert same == (one & found == other & found)


@settings(max_examples=examples(FEW))
@given(values(DomainDefinition))
def test_no_domain_has_a_part_that_is_not_seen(domain: DomainDefinition) -> None:
    found = parts_in(domain)
    for each in EVERY:
        assert dump(domain, "domain", each) == dump(domain, "domain", each & found)


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: path.stem)
def test_a_text_is_known_for_all_flags_that_it_answers_and_no_others(path: Path) -> None:
    domain = DomainDefinition.load(path.read_text(), Part.LIVE)
    for first, other in product(XmlFlags, XmlFlags):
        fresh = replace(domain)
        assert fresh.known_dump(other) is None
        text = fresh.dump(first)
        known = fresh.known_dump(other)
        assert known is None or known is text
        assert (known is not None) == (replace(domain).dump(other) == text)
