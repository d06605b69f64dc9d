"""Texts of domains are known only for the very values that they were made of."""

from dataclasses import replace
from uuid import UUID

from insula.model.domain import DomainDefinition
from insula.model.sizes import KiB
from insula.service.domaintexts import LIVE, DomainTexts
from tests.unit.service.fakes import WEB, domain_xml


def test_a_text_counts_for_the_very_value_that_it_was_made_of() -> None:
    texts = DomainTexts()
    web = DomainDefinition.load(domain_xml())
    changed = replace(web, memory=KiB(131072))
    assert texts.of(web) is texts.of(web)
    assert [texts.of(each) for each in (web, changed, web)] == [each.dump(LIVE) for each in (web, changed, web)]


def test_of_a_domain_that_is_no_more_nothing_is_kept_and_of_others_the_latest() -> None:
    texts = DomainTexts()
    web = DomainDefinition.load(domain_xml())
    texts.of(web)
    texts.forget(WEB)
    texts.forget(WEB)
    assert not texts._texts
    for number in range(1, 1100):
        texts._texts[UUID(int=number)] = (web, "")
    texts.of(web)
    assert len(texts._texts) < 1100
    assert WEB in texts._texts
