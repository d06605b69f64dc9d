"""What is recorded of domains: libvirt's form, from the events alone."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest

from insula.kernel.audit import AuditKind
from insula.model.domain import DomainDefinition
from insula.model.domainstates import Happening
from insula.model.filesystems import Disk
from insula.model.scalars import DomainName
from insula.model.sizes import KiB
from insula.service.audittrail import AuditTrail
from insula.service.domains import Domains
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceChangeFailed,
    DeviceRemovalFailed,
    DeviceRemoved,
    Event,
    Events,
    LimitChangeFailed,
    StartFailed,
    VcpusChanged,
)
from insula.service.managed import ManagedDomain, Run

WEB = UUID(int=7)
XML = f"""<domain type='lxc'><name>web</name><uuid>{WEB}</uuid><memory unit='KiB'>65536</memory><vcpu>2</vcpu>
  <os><type>exe</type></os><devices>
    <filesystem type='mount'><source dir='/srv/web'/><target dir='/'/><alias name='ua-root'/></filesystem>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><alias name='ua-card'/></interface>
    {{more}}
  </devices></domain>"""
DISK = "<disk type='block'><source dev='/dev/sd b'/><target dev='sdb'/><alias name='ua-disk'/></disk>"


class Scene:
    """One domain, and what was recorded of it."""

    wanted = True

    def __init__(self, name: str = "web") -> None:
        self.records: list[tuple[AuditKind, str]] = []
        self.events = Events()
        self.domains = Domains(events=self.events)
        domain = replace(DomainDefinition.load(XML.format(more="")), name=DomainName(name))
        self.managed = self.domains.new(domain, definition=domain)
        self.trail = AuditTrail(domains=self.domains, recorder=self)
        self.trail.attend(self.events)

    def record(self, kind: AuditKind, text: str) -> None:
        self.records.append((kind, text))

    def start(self) -> None:
        run = SimpleNamespace(container=SimpleNamespace(id=4711), adoption=None, consoles=())
        self.managed.begin(cast("Run", run), self.managed.current, Happening.BOOTED)

    def become(self, xml: str = "", *, memory: int = 65536) -> ManagedDomain:
        self.managed.description = replace(
            DomainDefinition.load(XML.format(more=xml)), memory=KiB(memory), current_memory=KiB(memory)
        )
        return self.managed

    def told(self, event: Event) -> list[str]:
        """Publish an event, and return the records that it made, without who they are about."""
        self.records.clear()
        self.events.publish(event)
        return self.words()

    def words(self) -> list[str]:
        return [text.replace(f' vm="web" uuid={WEB}', "") for _, text in self.records]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.asyncio
async def test_a_start_tells_what_the_guest_has_and_an_end_how_it_was(scene: Scene) -> None:
    scene.start()
    assert scene.words() == [
        'virt=lxc resrc=fs reason=start old-fs=? new-fs="/srv/web" res=success',
        'virt=lxc resrc=net reason=start old-net=? new-net="52:54:00:00:00:01" res=success',
        "virt=lxc resrc=mem reason=start old-mem=0 new-mem=65536 res=success",
        "virt=lxc resrc=vcpu reason=start old-vcpu=0 new-vcpu=2 res=success",
        "virt=lxc op=start reason=booted vm-pid=4711 res=success",
    ]
    assert [kind for kind, _ in scene.records] == [AuditKind.RESOURCE] * 4 + [AuditKind.CONTROL]
    scene.records.clear()
    scene.managed.end(Happening.DESTROYED)
    assert scene.words() == ["virt=lxc op=stop reason=destroyed vm-pid=-1 res=success"]


@pytest.mark.asyncio
async def test_what_failed_is_told_too(scene: Scene) -> None:
    assert scene.told(StartFailed(domain=scene.managed.ref)) == ["virt=lxc op=start reason=booted vm-pid=-1 res=failed"]
    scene.start()
    assert scene.told(DeviceRemovalFailed(domain=scene.managed.ref, alias="ua-card")) == [
        'virt=lxc resrc=net reason=detach old-net="52:54:00:00:00:01" new-net=? res=failed'
    ]
    assert scene.told(DeviceChangeFailed(domain=scene.managed.ref, device=Disk, reason="attach")) == [
        "virt=lxc resrc=disk reason=attach old-disk=? new-disk=? res=failed"
    ]
    for resource, wanted, old in (("mem", 32768, 65536), ("vcpu", 4, 2)):
        failed = LimitChangeFailed(domain=scene.managed.ref, resource=resource, wanted=wanted)
        assert scene.told(failed) == [
            f"virt=lxc resrc={resource} reason=update old-{resource}={old} new-{resource}={wanted} res=failed"
        ]


@pytest.mark.asyncio
async def test_devices_come_and_go_and_sizes_change(scene: Scene) -> None:
    scene.start()
    ref = scene.become(DISK).ref
    assert scene.told(DeviceAdded(domain=ref, alias="ua-disk")) == [
        "virt=lxc resrc=disk reason=attach old-disk=? new-disk=2F6465762F73642062 res=success"
    ]
    scene.become()
    assert scene.told(DeviceRemoved(domain=ref, alias="ua-disk")) == [
        "virt=lxc resrc=disk reason=detach old-disk=2F6465762F73642062 new-disk=? res=success"
    ]
    scene.become(memory=32768)
    assert scene.told(BalloonChange(domain=ref, actual=32768)) == [
        "virt=lxc resrc=mem reason=update old-mem=65536 new-mem=32768 res=success"
    ]
    assert scene.told(BalloonChange(domain=ref, actual=32768)) == []


@pytest.mark.asyncio
async def test_what_an_earlier_daemons_guest_has_neither_goes_nor_comes_when_its_aliases_are_known(
    scene: Scene,
) -> None:
    """Its description has them once it is taken over, which is after the stock is taken."""
    plain = re.sub(r"<alias name='[^']*'/>", "", XML)
    scene.managed.description = DomainDefinition.load(plain.format(more=DISK.replace("<alias name='ua-disk'/>", "")))
    scene.start()
    scene.trail.take_stock()
    ref = scene.become(DISK, memory=32768).ref
    assert scene.told(DeviceRemovalFailed(domain=ref, alias="ua-card")) == [
        'virt=lxc resrc=net reason=detach old-net="52:54:00:00:00:01" new-net=? res=failed'
    ]
    assert scene.told(BalloonChange(domain=ref, actual=32768)) == [
        "virt=lxc resrc=mem reason=update old-mem=65536 new-mem=32768 res=success"
    ]
    scene.become(memory=32768)
    assert scene.told(DeviceRemoved(domain=ref, alias="ua-disk")) == [
        "virt=lxc resrc=disk reason=detach old-disk=2F6465762F73642062 new-disk=? res=success"
    ]


@pytest.mark.asyncio
async def test_a_name_cannot_say_more_than_a_name() -> None:
    scene = Scene(name='x" res=success op="')
    scene.start()
    assert all(text.count("res=") == 1 and " vm=7822207265733D" in text for _, text in scene.records)


@pytest.mark.asyncio
async def test_what_runs_already_is_known_and_not_told(scene: Scene) -> None:
    scene.start()
    scene.records.clear()
    later = AuditTrail(domains=scene.domains, recorder=scene)
    later.take_stock()
    assert scene.words() == []
    ref = scene.become(DISK).ref
    later.heard(DeviceAdded(domain=ref, alias="ua-disk"))
    assert [each.split(" res=")[0] for each in scene.words()] == [
        "virt=lxc resrc=disk reason=attach old-disk=? new-disk=2F6465762F73642062"
    ]


@pytest.mark.asyncio
async def test_other_processors_are_told(scene: Scene) -> None:
    scene.start()
    described = scene.managed.current
    scene.managed.description = replace(described, vcpu=replace(described.vcpu, current=1))
    told = scene.told(VcpusChanged(domain=scene.managed.ref))
    assert told == ["virt=lxc resrc=vcpu reason=update old-vcpu=2 new-vcpu=1 res=success"]


@pytest.mark.asyncio
async def test_digits_of_other_scripts_are_told_as_bytes(scene: Scene) -> None:
    scene.start()
    arabic = "<filesystem type='template'><source name='٣'/><target dir='/t'/><alias name='ua-x'/></filesystem>"
    scene.become(arabic)
    (told,) = scene.told(DeviceAdded(domain=scene.managed.ref, alias="ua-x"))
    assert "new-fs=D9A3 " in told


@pytest.mark.asyncio
async def test_where_no_records_are_kept_nothing_is_heard_or_looked_at(scene: Scene) -> None:
    scene.start()
    scene.records.clear()
    scene.wanted = False
    idle, events = AuditTrail(domains=scene.domains, recorder=scene), Events()
    idle.attend(events)
    idle.take_stock()
    events.publish(StartFailed(domain=scene.managed.ref))
    assert not scene.records and not idle._given
