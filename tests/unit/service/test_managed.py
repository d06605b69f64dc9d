"""One domain: what is defined, what runs, and what describes it."""

import pytest

from insula.errors import DomainNotFoundError, OperationInvalidError
from insula.model.domain import Domain
from insula.service.managed import NEVER_RAN, ManagedDomain
from tests.unit.service.fakes import WEB, domain_xml

CONFIG = Domain.load(domain_xml())
OTHER = Domain.load(domain_xml(more="<title>other</title>"))


def test_a_defined_domain_that_never_ran_is_off_and_described_by_its_definition() -> None:
    managed = ManagedDomain(current=CONFIG, config=CONFIG)

    assert (managed.name, managed.uuid, managed.id, managed.state) == ("web", WEB, -1, NEVER_RAN)
    assert managed.is_persistent
    assert not managed.is_active


def test_a_new_definition_describes_what_is_off_at_once() -> None:
    managed = ManagedDomain(current=CONFIG, config=CONFIG)
    managed.define(OTHER)

    assert managed.current == OTHER
    assert not managed.updated


def test_what_is_not_there_is_refused() -> None:
    transient = ManagedDomain(current=CONFIG)

    with pytest.raises(OperationInvalidError, match="domain is not running"):
        transient.require_run()
    with pytest.raises(OperationInvalidError, match="do not have any persistent config"):
        transient.require_config()


def test_a_transient_domain_that_will_be_started_again_keeps_what_ran() -> None:
    managed = ManagedDomain(current=OTHER, config=CONFIG)
    managed.end(NEVER_RAN, restarts=True)
    assert managed.current == OTHER

    managed.end(NEVER_RAN)
    assert managed.current == CONFIG


@pytest.mark.asyncio
async def test_a_verb_on_what_is_gone_finds_no_domain() -> None:
    managed = ManagedDomain(current=CONFIG)
    managed.gone = True

    async def work() -> None:
        pytest.fail("the domain is gone")

    with pytest.raises(DomainNotFoundError):
        await managed.perform("start", work)
