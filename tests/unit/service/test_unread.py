"""What describes a domain is read when somebody asks for what it says, and once."""

from dataclasses import replace

from insula.model.domain import DomainDefinition
from insula.service.managed import ManagedDomain
from insula.service.unread import UnreadDefinition
from tests.unit.service.fakes import domain_xml

WEB = DomainDefinition.load(domain_xml())


def unread(asked: list[str]) -> UnreadDefinition:
    def read() -> DomainDefinition:
        asked.append("read")
        return DomainDefinition.load(domain_xml())

    return UnreadDefinition(name=WEB.name, uuid=WEB.uuid, read=read)


def test_its_name_and_uuid_are_known_without_reading() -> None:
    asked: list[str] = []
    managed = ManagedDomain(description=unread(asked))
    managed.describe(lambda domain: replace(domain, title="new"))
    assert (managed.name, managed.uuid, managed.ref.name) == (WEB.name, WEB.uuid, "web")
    assert asked == []


def test_it_is_read_once_and_is_the_same_value_each_time() -> None:
    asked: list[str] = []
    managed = ManagedDomain(description=unread(asked))
    assert managed.current == WEB
    assert managed.current is managed.current
    assert asked == ["read"]


def test_changes_made_before_it_is_read_count_in_their_order() -> None:
    managed = ManagedDomain(description=unread([]))
    managed.describe(lambda domain: replace(domain, title="one"))
    managed.describe(lambda domain: replace(domain, title=f"{domain.title} two"))
    assert managed.current == replace(WEB, title="one two")


def test_what_is_read_is_changed_at_once() -> None:
    managed = ManagedDomain(description=WEB)
    managed.describe(lambda domain: replace(domain, title="new"))
    assert managed.description == replace(WEB, title="new")
