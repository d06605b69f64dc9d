"""Domains are found by UUID, name or id, and are unique in the first two."""

from uuid import UUID

import pytest

from insula.errors import DomainExistsError, DomainNotFoundError
from insula.model.domain import Domain
from insula.service.registry import Registry
from tests.unit.service.fakes import MAIL, WEB, domain_xml


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.add(Domain.load(domain_xml()))
    return made


def test_a_domain_is_found_by_what_names_it(registry: Registry) -> None:
    assert registry.by_name("web") is registry.by_uuid(WEB)
    assert registry.by_name("web").id == -1


def test_what_is_not_there_is_said_in_libvirts_words(registry: Registry) -> None:
    with pytest.raises(DomainNotFoundError, match="no domain with matching name 'mail'"):
        registry.by_name("mail")
    with pytest.raises(DomainNotFoundError, match=f"no domain with matching uuid '{MAIL}'"):
        registry.by_uuid(MAIL)
    with pytest.raises(DomainNotFoundError, match="no domain with matching id -1"):
        registry.by_id(-1)


def test_names_and_uuids_are_unique(registry: Registry) -> None:
    for name, uuid in (("web", WEB), ("web", MAIL), ("mail", WEB)):
        with pytest.raises(DomainExistsError):
            registry.add(Domain.load(domain_xml(name, uuid)))
    assert len(registry) == 1
    assert registry.admit("web", WEB) is registry.by_uuid(WEB)
    assert registry.admit("mail", MAIL) is None


def test_a_removed_domain_frees_its_name_and_knows_that_it_is_gone(registry: Registry) -> None:
    managed = registry.by_name("web")
    registry.remove(managed)
    registry.remove(managed)

    assert managed.gone
    assert registry.add(Domain.load(domain_xml("web", MAIL))) is registry.by_name("web")


def test_going_through_the_domains_minds_no_changes_meanwhile(registry: Registry) -> None:
    for number in range(10, 13):
        registry.add(Domain.load(domain_xml(f"d{number}", UUID(int=number))))
    for managed in registry:
        registry.remove(managed)

    assert len(registry) == 0
