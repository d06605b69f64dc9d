"""What guests tell of themselves, under libvirt's names."""

import pytest

from insula.engine.interfacespec import Address
from insula.errors import ArgumentUnsupportedError, NoHostnameError, OperationFailedError, OperationTimeoutError
from insula.kernel.fds import Fd
from insula.model.numbers import AddressSource, GuestInfo, ParameterType
from insula.network.guestinterfaces import GuestInterface
from insula.service import guestsystem
from insula.service.guest import GuestVerbs
from insula.service.guestbuses import SystemReport
from insula.service.guestfilesystems import GuestFilesystem
from insula.service.guestsystem import GuestSystemVerbs
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.visits import ScriptedLooker

pytestmark = pytest.mark.asyncio

SAID = {
    "os": {"ID": "debian", "PRETTY_NAME": "Debian\u202e 12", "VERSION_ID": "12"},
    "kernel": {"machine": "x86_64"},
    "zone": {"name": "Asia/Kolkata", "offset": 19800},
    "users": {"bob": 5, "ann": 1000},
    "names": {"static": "web-of-files", "pretty": "The web"},
}
CARD = GuestInterface(
    name="eth0", mac="52:54:00:00:00:01", up=True, loopback=False, addresses=(Address(address="fd00::2", prefix=64),)
)
KEPT = [
    GuestFilesystem(name="sda1", point="/", kind="ext4", device="8:1", whole=False, size=100, used=40),
    GuestFilesystem(name="host:/x", point="/remote", kind="fuse.sshfs", device="0:60", whole=False),
]


class _Guest(GuestVerbs):
    """A guest that has a card, and a name unless that is None."""

    name: str | None = "web"

    def __init__(self) -> None:
        pass

    async def hostname(self, managed: ManagedDomain) -> str:
        if self.name is None:
            raise NoHostnameError("it does not tell its name")
        return self.name

    async def interfaces(self, managed: ManagedDomain, source: AddressSource) -> list[GuestInterface]:
        return [CARD]


class _Filesystems:
    async def filesystems(self, managed: ManagedDomain) -> list[GuestFilesystem]:
        return KEPT


class _Buses:
    """What a guest's bus says."""

    def __init__(self, report: SystemReport) -> None:
        self._report = report

    async def ask(self, managed: ManagedDomain) -> SystemReport:
        return self._report


async def asked(
    rig: Rig,
    wanted: GuestInfo,
    *,
    name: str | None = "web",
    report: SystemReport | None = None,
    said: object = SAID,
) -> dict[str, tuple[ParameterType, object]]:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    if not managed.is_active:
        await rig.domains.start(managed.ref)
    guest = _Guest()
    guest.name = name
    visits = GuestVisits(ScriptedLooker({"tell-system": said}))
    verbs = GuestSystemVerbs(guest, _Filesystems(), visits, _Buses(report or SystemReport()))  # type: ignore[arg-type]
    return {each.name: (each.kind, each.value) for each in await verbs.info(managed, wanted)}


async def test_everything_that_there_is_is_told_under_libvirts_names(rig: Rig) -> None:
    assert await asked(rig, GuestInfo(0)) == {
        "user.count": (ParameterType.UINT, 2),
        "user.0.name": (ParameterType.STRING, "ann"),
        "user.0.login-time": (ParameterType.ULLONG, 1_000_000),
        "user.1.name": (ParameterType.STRING, "bob"),
        "user.1.login-time": (ParameterType.ULLONG, 5000),
        "os.id": (ParameterType.STRING, "debian"),
        "os.pretty-name": (ParameterType.STRING, "Debian\\u202e 12"),
        "os.version-id": (ParameterType.STRING, "12"),
        "os.machine": (ParameterType.STRING, "x86_64"),
        "timezone.name": (ParameterType.STRING, "Asia/Kolkata"),
        "timezone.offset": (ParameterType.INT, 19800),
        "hostname": (ParameterType.STRING, "web"),
        "insula.hostname.static": (ParameterType.STRING, "web-of-files"),
        "insula.hostname.pretty": (ParameterType.STRING, "The web"),
        "fs.count": (ParameterType.UINT, 2),
        "fs.0.name": (ParameterType.STRING, "sda1"),
        "fs.0.mountpoint": (ParameterType.STRING, "/"),
        "fs.0.fstype": (ParameterType.STRING, "ext4"),
        "fs.0.total-bytes": (ParameterType.ULLONG, 100),
        "fs.0.used-bytes": (ParameterType.ULLONG, 40),
        "fs.0.disk.count": (ParameterType.UINT, 0),
        "fs.1.name": (ParameterType.STRING, "host:/x"),
        "fs.1.mountpoint": (ParameterType.STRING, "/remote"),
        "fs.1.fstype": (ParameterType.STRING, "fuse.sshfs"),
        "fs.1.disk.count": (ParameterType.UINT, 0),
        "disk.count": (ParameterType.UINT, 0),
        "if.count": (ParameterType.UINT, 1),
        "if.0.name": (ParameterType.STRING, "eth0"),
        "if.0.hwaddr": (ParameterType.STRING, "52:54:00:00:00:01"),
        "if.0.addr.count": (ParameterType.UINT, 1),
        "if.0.addr.0.type": (ParameterType.STRING, "ipv6"),
        "if.0.addr.0.addr": (ParameterType.STRING, "fd00::2"),
        "if.0.addr.0.prefix": (ParameterType.UINT, 64),
    }


async def test_only_what_is_wanted_is_told(rig: Rig) -> None:
    assert set(await asked(rig, GuestInfo.TIMEZONE | GuestInfo.HOSTNAME)) == {
        "timezone.name",
        "timezone.offset",
        "hostname",
        "insula.hostname.static",
        "insula.hostname.pretty",
    }


async def test_what_a_guest_with_systemd_says_over_its_bus_is_told_too(rig: Rig) -> None:
    report = SystemReport(
        state="degraded", failed=3, units=("a\x1b.service",), users={"ann": 7, "root": 9}, static_name="web-of-bus"
    )
    told = {name: value for name, (_, value) in (await asked(rig, GuestInfo(0), report=report)).items()}
    assert (told["insula.system.state"], told["insula.system.failed.count"]) == ("degraded", 3)
    assert told["insula.system.failed.0.name"] == "a\\u001b.service"
    assert told["user.count"] == 3 and [told[f"user.{place}.name"] for place in range(3)] == ["ann", "bob", "root"]
    assert (told["user.0.login-time"], told["user.2.login-time"]) == (7000, 9000)
    assert (told["insula.hostname.static"], told["insula.hostname.pretty"]) == ("web-of-bus", "The web")


async def test_a_guest_whose_files_cannot_be_read_still_tells_its_name(rig: Rig) -> None:
    no_answer = OperationTimeoutError("no answer")
    assert set(await asked(rig, GuestInfo.HOSTNAME, said=no_answer)) == {"hostname"}
    with pytest.raises(OperationTimeoutError):
        await asked(rig, GuestInfo.HOSTNAME | GuestInfo.OS, said=no_answer)


async def test_a_guest_without_a_name_tells_all_else_unless_its_name_is_wanted(rig: Rig) -> None:
    assert "hostname" not in await asked(rig, GuestInfo(0), name=None)
    with pytest.raises(NoHostnameError):
        await asked(rig, GuestInfo.HOSTNAME, name=None)


async def test_the_load_of_one_container_is_not_made_up(rig: Rig) -> None:
    with pytest.raises(ArgumentUnsupportedError, match="only the host's"):
        await asked(rig, GuestInfo.LOAD)


async def test_the_load_of_a_guest_with_a_machine_view_is_what_it_reads(rig: Rig) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.start(managed.ref)
    container = managed.require_run().container
    container.view = {"view": Fd(-1)}
    read: list[tuple[str, str]] = []

    async def read_view(launch: str, path: str) -> str:
        read.append((launch, path))
        return "0.50 0.25 0.10 1/2 3\n"

    visits = GuestVisits(ScriptedLooker({"tell-system": SAID}))
    verbs = GuestSystemVerbs(_Guest(), _Filesystems(), visits, _Buses(SystemReport()), read_view)  # type: ignore[arg-type]
    told = {each.name: each.value for each in await verbs.info(managed, GuestInfo.LOAD)}
    container.view = {}
    assert told == {"load.1m": 0.5, "load.5m": 0.25, "load.15m": 0.1}
    assert read == [(str(container.record.launch), "proc/loadavg")]


async def test_an_answer_has_room_for_so_much(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guestsystem, "PARAMETERS_MAX", 3)
    with pytest.raises(OperationFailedError, match="ask for less at once"):
        await asked(rig, GuestInfo.USERS)
