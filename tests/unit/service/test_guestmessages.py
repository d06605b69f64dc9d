"""What a guest's own kernel log says of changes from outside."""

from uuid import UUID

import pytest

from insula.model.domainstates import LifecycleKind, ResumedDetail, StartedDetail, SuspendedDetail
from insula.model.numbers import MemoryFailureAction, ParameterType
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceRemoved,
    DomainIdentity,
    Event,
    LifecycleEvent,
    MemoryFailure,
    NetworkIdentity,
    Tunable,
    VcpusChanged,
    VirtualNetworkEvent,
)
from insula.service.guestmessages import GuestMessages, launch_of, message_of
from insula.service.parameters import Parameter
from tests.unit.service.fakes import Rig
from tests.unit.service.limits import running

WEB = DomainIdentity(name="web", uuid=UUID(int=7), id=4711)
SHARES = Parameter("cputune.cpu_shares", ParameterType.ULLONG, 512)
TOLD: list[tuple[Event, str]] = [
    (
        LifecycleEvent(domain=WEB, kind=LifecycleKind.SUSPENDED, detail=SuspendedDetail.PAUSED),
        "insula: the machine stands still from now on",
    ),
    (
        LifecycleEvent(domain=WEB, kind=LifecycleKind.RESUMED, detail=ResumedDetail.UNPAUSED),
        "insula: the machine goes on",
    ),
    (DeviceAdded(domain=WEB, alias="net1"), "insula: device net1 is plugged in"),
    (DeviceRemoved(domain=WEB, alias="net1"), "insula: device net1 is taken away"),
    (BalloonChange(domain=WEB, actual=524288), "insula: memory: 524288 KiB"),
    (Tunable(domain=WEB, parameters=(SHARES,)), "insula: limits: cpu_shares 512"),
    (VcpusChanged(domain=WEB), "insula: other processors are in use than before"),
]
SILENT: list[Event] = [
    LifecycleEvent(domain=WEB, kind=LifecycleKind.STARTED, detail=StartedDetail.BOOTED),
    MemoryFailure(domain=WEB, action=MemoryFailureAction.IGNORE),
    Tunable(domain=WEB, parameters=()),
    VirtualNetworkEvent(network=NetworkIdentity(name="default", uuid=UUID(int=8))),
]


@pytest.mark.parametrize(("event", "text"), TOLD)
def test_changes_of_its_machine_are_told_to_the_guest_that_runs(event: Event, text: str) -> None:
    told: list[tuple[str, str]] = []
    GuestMessages({WEB.uuid: "launch"}.get, lambda launch, line: told.append((launch, line))).heard(event)
    assert told == [("launch", text)]


@pytest.mark.parametrize("event", SILENT)
def test_what_is_none_of_its_business_is_not(event: Event) -> None:
    assert message_of(event) is None


def test_a_domain_that_does_not_run_is_told_nothing() -> None:
    told: list[tuple[str, str]] = []
    GuestMessages(lambda uuid: None, lambda launch, line: told.append((launch, line))).heard(TOLD[0][0])
    assert told == []


@pytest.mark.asyncio
async def test_a_domain_is_known_by_the_launch_that_it_runs_by(rig: Rig) -> None:
    domains = rig.domains.services.domains
    ref = await running(rig)
    run = domains.by_uuid(ref.uuid).run
    assert run is not None
    assert launch_of(domains, ref.uuid) == run.container.record.launch
    await rig.domains.destroy(ref)
    assert launch_of(domains, ref.uuid) is None
    assert launch_of(domains, UUID(int=99)) is None
