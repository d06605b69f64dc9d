"""Taking away what only a running domain has, as writing and reading would."""

from hypothesis import given, settings

from insula.model.domain import DomainDefinition, completed, unplugged
from insula.model.livevalues import without_live
from insula.model.numbers import XmlFlags
from tests.examples import examples
from tests.unit.model.strategies import values

DOMAINS = values(DomainDefinition).map(completed)


@settings(max_examples=examples(50))
@given(domain=DOMAINS)
def test_it_is_as_if_the_definition_had_been_written_and_read_again(domain: DomainDefinition) -> None:
    again = DomainDefinition.load(domain.dump(XmlFlags.INACTIVE | XmlFlags.SECURE))
    assert unplugged(without_live(domain)).dump(XmlFlags.SECURE) == again.dump(XmlFlags.SECURE)


@given(domain=DOMAINS)
def test_a_definition_is_left_alone(domain: DomainDefinition) -> None:
    definition = without_live(domain)
    assert without_live(definition) is definition
