"""Domains without a definition: made with a run, and gone with it."""

import errno

import pytest

from insula.errors import (
    DomainExistsError,
    DomainNotFoundError,
    OperationInvalidError,
    StepError,
)
from insula.model.domainstates import (
    CrashedReason,
    DomainState,
    StateWithReason,
)
from tests.unit.service.fakes import CRASHED, MAIL, REBOOTED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import defined, told

pytestmark = pytest.mark.asyncio


async def test_a_transient_domain_vanishes_with_its_run_and_its_storage(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    assert not rig.domains.is_persistent(ref)
    assert rig.preparation.owns_storage(WEB)

    await rig.domains.destroy(ref)

    with pytest.raises(DomainNotFoundError):
        rig.domains.state(ref)
    assert told(rig) == ["started booted", "stopped destroyed"]
    assert not rig.preparation.owns_storage(WEB)
    assert rig.preparation.released == [WEB]


async def test_storage_that_was_there_before_outlives_a_transient_domain(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)
    await rig.domains.undefine(ref)

    await rig.domains.destroy(await rig.domains.create_xml(domain_xml()))

    assert rig.preparation.owns_storage(WEB)


async def test_a_transient_domain_that_fails_to_start_is_not_there(rig: Rig) -> None:
    rig.refusals["clone"] = OSError(errno.ENOMEM, "no")
    with pytest.raises(StepError):
        await rig.domains.create_xml(domain_xml())

    assert list(rig.domains.list()) == []
    assert not rig.preparation.owns_storage(WEB)


async def test_a_transient_domain_survives_its_own_reboots(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))

    assert rig.domains.is_active(ref)
    await rig.domains.destroy(ref)
    assert not rig.preparation.owns_storage(WEB)


async def test_a_preserved_transient_domain_stays_until_it_is_destroyed(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml(more="<on_crash>preserve</on_crash>"))
    rig.end(WEB, CRASHED)
    await until(lambda: "stopped crashed" in told(rig))
    assert rig.domains.state(ref) == StateWithReason(state=DomainState.CRASHED, reason=CrashedReason.PANICKED)
    assert rig.preparation.owns_storage(WEB)

    await rig.domains.destroy(ref)

    assert list(rig.domains.list()) == []
    assert not rig.preparation.owns_storage(WEB)


async def test_creating_a_domain_that_runs_is_refused(rig: Rig) -> None:
    await rig.domains.create_xml(domain_xml())

    with pytest.raises(OperationInvalidError, match="domain 'web' is already active"):
        await rig.domains.create_xml(domain_xml())
    with pytest.raises(DomainExistsError, match="already exists with uuid"):
        await rig.domains.create_xml(domain_xml(uuid=MAIL))
    with pytest.raises(DomainExistsError, match="already defined with uuid"):
        await rig.domains.create_xml(domain_xml(name="mail"))


async def test_creating_a_defined_domain_runs_the_given_definition_and_keeps_the_other(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.create_xml(domain_xml(more="<title>once</title>"))

    assert "<title>once</title>" in rig.domains.dump_xml(ref)
    assert "<title>" not in rig.domains.dump_xml(ref, inactive=True)
    await rig.domains.destroy(ref)
    assert "<title>" not in rig.domains.dump_xml(ref)
