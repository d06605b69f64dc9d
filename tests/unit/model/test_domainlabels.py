import pytest

from insula.model.domain import DomainDefinition
from insula.model.domainlabels import labels_of
from insula.model.xmlnamespaces import LABELS_NAMESPACE


def _domain(metadata: str) -> DomainDefinition:
    return DomainDefinition.load(
        "<domain type='lxc'><name>web</name><uuid>7d0c4b1e-6e4b-4c5e-9d5f-1c1f0d7a0a01</uuid>"
        f"<memory>1024</memory><os><type>exe</type></os>{metadata}</domain>"
    )


def test_labels_stand_in_an_element_of_the_metadata() -> None:
    labels = "<l:label name='role'>web</l:label><l:label name='empty'/>"
    foreign = "<other xmlns='urn:other'><label name='no'>1</label></other>"
    metadata = f"<metadata>{foreign}<l:labels xmlns:l='{LABELS_NAMESPACE}'>{labels}</l:labels></metadata>"
    assert labels_of(_domain(metadata)) == {"role": "web", "empty": ""}


def test_without_metadata_there_are_none() -> None:
    assert labels_of(_domain("")) == {}


@pytest.mark.parametrize("inside", ["<l:label>x</l:label>", "text", "<l:other name='a'>b</l:other>", "<!-- -->"])
def test_what_makes_no_sense_is_passed_over(inside: str) -> None:
    assert labels_of(_domain(f"<metadata><l:labels xmlns:l='{LABELS_NAMESPACE}'>{inside}</l:labels></metadata>")) == {}
