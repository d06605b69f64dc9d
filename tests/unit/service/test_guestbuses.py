"""What is made of what a guest's bus says; no guest is missed that says nothing."""

from types import SimpleNamespace

import pytest

from insula.engine.spec import InitKind
from insula.errors import OperationTimeoutError
from insula.service import guestbuses
from insula.service.guestbuses import GuestBuses, SystemReport
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.visits import ScriptedLooker

pytestmark = pytest.mark.asyncio


async def running(rig: Rig) -> ManagedDomain:
    """A guest with systemd, as the rig's are."""
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.start(managed.ref)
    assert managed.require_run().container.record.spec.init_kind is InitKind.SYSTEMD
    return managed


async def test_what_is_said_is_told(rig: Rig) -> None:
    managed = await running(rig)
    said = {"state": "degraded", "failed": 2, "units": ["a\x1b.service"], "users": {"ann": 5}, "static": "web"}
    looker = ScriptedLooker({"ask-systemd": said})
    report = await GuestBuses(GuestVisits(looker)).ask(managed)
    assert report == SystemReport(
        state="degraded", failed=2, units=("a\x1b.service",), users={"ann": 5}, static_name="web"
    )
    assert report.described() == {"state": "degraded", "failed": 2, "units": ["a\\u001b.service"]}
    assert report.names() == {"static": "web"}
    assert looker.asked == [("ask-systemd", {"seconds": guestbuses.ANSWER})]


@pytest.mark.parametrize("failure", [OperationTimeoutError("no answer"), FileNotFoundError(2, "No such file")])
async def test_a_bus_that_does_not_answer_is_nothing(rig: Rig, failure: Exception) -> None:
    managed = await running(rig)
    report = await GuestBuses(GuestVisits(ScriptedLooker({"ask-systemd": failure}))).ask(managed)
    assert report == SystemReport() and report.described() is None


async def test_guests_without_systemd_that_are_paused_or_off_are_not_asked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looker = ScriptedLooker({})
    buses = GuestBuses(GuestVisits(looker))
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    assert await buses.ask(managed) == SystemReport()
    await rig.domains.start(managed.ref)
    with monkeypatch.context() as patched:
        patched.setattr(guestbuses, "InitKind", SimpleNamespace(SYSTEMD=InitKind.BUSYBOX))
        assert await buses.ask(managed) == SystemReport()
    await rig.domains.suspend(managed.ref)
    assert await buses.ask(managed) == SystemReport()
    assert looker.asked == []
