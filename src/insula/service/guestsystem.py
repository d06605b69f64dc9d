"""What a guest that runs tells of itself without an agent: its system, users, time zone, name, interfaces, disks.

The kernel is asked first; what only the guest's files say, a look reads (`engine.look.systemlook`), and a guest with
systemd is asked over its bus (`guestbuses`). The names of parameters and their types are libvirt's
(virDomainGetGuestInfo); what libvirt has no name for begins with `insula.`.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from insula.errors import ArgumentUnsupportedError, InsulaError, NoHostnameError, OperationFailedError
from insula.model.numbers import AddressSource, GuestInfo, ParameterType
from insula.model.visible import visible
from insula.network.guestinterfaces import GuestInterface
from insula.service.guest import GuestVerbs
from insula.service.guestbuses import GuestBuses, SystemReport
from insula.service.guestfilesystems import GuestFilesystem, GuestFilesystemVerbs
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter

PARAMETERS_MAX = 2048
"""Source: REMOTE_DOMAIN_GUEST_INFO_PARAMS_MAX of libvirt's protocol."""
ReadView = Callable[[str, str], Awaitable[str]]
_READ = GuestInfo.USERS | GuestInfo.OS | GuestInfo.TIMEZONE
"""What the guest's files are read for."""
_ANSWERED = _READ | GuestInfo.HOSTNAME | GuestInfo.FILESYSTEM | GuestInfo.DISKS | GuestInfo.INTERFACES | GuestInfo.LOAD
_SAID_OVER_BUS = GuestInfo.USERS | GuestInfo.OS | GuestInfo.HOSTNAME
_MILLISECONDS = 1000


class GuestSystemVerbs:
    """Asks guests about themselves."""

    def __init__(
        self,
        guest: GuestVerbs,
        filesystems: GuestFilesystemVerbs,
        visits: GuestVisits,
        buses: GuestBuses,
        read_view: ReadView | None = None,
    ) -> None:
        """read_view: reads a file of the view that a launch has, by its path."""
        self._read_view = read_view
        self._guest = guest
        self._filesystems = filesystems
        self._visits = visits
        self._buses = buses

    async def report(self, managed: ManagedDomain) -> SystemReport:
        """Return what the guest's systemd says of itself, nothing if there is none, or it does not answer."""
        return await self._buses.ask(managed)

    async def info(self, managed: ManagedDomain, wanted: GuestInfo) -> list[Parameter]:
        """Return what is wanted, everything that there is for nothing.

        Raises: ArgumentUnsupportedError for what no container has; OperationInvalidError if it is off, or paused;
        OperationTimeoutError if its file system does not answer; NoHostnameError.
        """
        asked = wanted or _ANSWERED
        loads = await self._loads(managed, needed=bool(wanted)) if asked & GuestInfo.LOAD else []
        said = await self._said(managed, asked)
        report = await self._buses.ask(managed) if asked & _SAID_OVER_BUS else SystemReport()
        told: list[Parameter] = []
        if GuestInfo.USERS in asked:
            told += _users(_since_the_first(said["users"], report.users))
        if GuestInfo.OS in asked:
            told += _system(said["os"], said["kernel"])
            told += _state(report)
        if GuestInfo.TIMEZONE in asked and said["zone"] is not None:
            told += [_text("timezone.name", said["zone"]["name"]), _int("timezone.offset", said["zone"]["offset"])]
        if GuestInfo.HOSTNAME in asked:
            told += await self._hostname(managed, needed=bool(wanted))
            told += _names({**said.get("names", {}), **report.names()})
        if GuestInfo.FILESYSTEM in asked:
            told += _filesystems(await self._filesystems.filesystems(managed))
        if GuestInfo.DISKS in asked:
            told += _disks([each.target.device for each in managed.current.devices.disks])
        if GuestInfo.INTERFACES in asked:
            told += _interfaces(await self._guest.interfaces(managed, AddressSource.AGENT))
        told += loads
        if len(told) > PARAMETERS_MAX:
            raise OperationFailedError(
                f"domain '{managed.name}' tells more than an answer may have: ask for less at once"
            )
        return told

    async def _said(self, managed: ManagedDomain, asked: GuestInfo) -> Mapping[str, Any]:
        """Return what the guest's files say; who asks for names alone goes without those that cannot be read."""
        said: Mapping[str, Any] = {}
        if asked & _READ:
            said = await self._visits.look(managed, "tell-system", {})
        elif GuestInfo.HOSTNAME in asked:
            with contextlib.suppress(InsulaError, OSError):
                said = await self._visits.look(managed, "tell-system", {})
        return said

    async def _loads(self, managed: ManagedDomain, *, needed: bool) -> list[Parameter]:
        """Return the load averages that the guest reads of its own; the kernel knows the host's alone."""
        container = managed.require_run().container
        if not container.view or self._read_view is None or container.record.launch is None:
            if needed:
                raise ArgumentUnsupportedError(
                    "the load of one container is known where it has a machine view (insula:view), else only the "
                    "host's is; ask for users, os, timezone, hostname, filesystem, disk or interface"
                )
            return []
        try:
            averages = (await self._read_view(container.record.launch, "proc/loadavg")).split()[:3]
        except OperationFailedError:
            if needed:
                raise
            return []
        return [
            Parameter(f"load.{name}", ParameterType.DOUBLE, float(average))
            for name, average in zip(("1m", "5m", "15m"), averages, strict=True)
        ]

    async def _hostname(self, managed: ManagedDomain, *, needed: bool) -> list[Parameter]:
        try:
            return [_text("hostname", await self._guest.hostname(managed))]
        except NoHostnameError:
            if needed:
                raise
            return []


def _text(name: str, value: str) -> Parameter:
    return Parameter(name, ParameterType.STRING, visible(value))


def _int(name: str, value: int) -> Parameter:
    return Parameter(name, ParameterType.INT, value)


def _count(name: str, value: int) -> Parameter:
    return Parameter(name, ParameterType.UINT, value)


def _large(name: str, value: int) -> Parameter:
    return Parameter(name, ParameterType.ULLONG, value)


def _since_the_first(*several: Mapping[str, int]) -> dict[str, int]:
    """Join what several sources say of users: the earlier time of each."""
    found: dict[str, int] = {}
    for users in several:
        for name, since in users.items():
            found[name] = min(since, found.get(name, since))
    return found


def _users(users: Mapping[str, int]) -> Iterator[Parameter]:
    yield _count("user.count", len(users))
    for place, (name, since) in enumerate(sorted(users.items())):
        yield _text(f"user.{place}.name", name)
        yield _large(f"user.{place}.login-time", max(0, since) * _MILLISECONDS)


def _system(release: Mapping[str, str], kernel: Mapping[str, str]) -> Iterator[Parameter]:
    for name, value in release.items():
        yield _text(f"os.{name.lower().replace('_', '-')}", value)
    for name, value in kernel.items():
        yield _text(f"os.{name}", value)


def _state(report: SystemReport) -> Iterator[Parameter]:
    if report.state is not None:
        yield _text("insula.system.state", report.state)
        yield _large("insula.system.failed.count", report.failed)
        for place, unit in enumerate(report.units):
            yield _text(f"insula.system.failed.{place}.name", unit)


def _names(names: Mapping[str, str]) -> Iterator[Parameter]:
    for kind, name in sorted(names.items()):
        yield _text(f"insula.hostname.{kind}", name)


def _filesystems(filesystems: Sequence[GuestFilesystem]) -> Iterator[Parameter]:
    yield _count("fs.count", len(filesystems))
    for place, each in enumerate(filesystems):
        yield _text(f"fs.{place}.name", each.name)
        yield _text(f"fs.{place}.mountpoint", each.shown)
        yield _text(f"fs.{place}.fstype", each.kind)
        if each.size is not None and each.used is not None:
            yield _large(f"fs.{place}.total-bytes", each.size)
            yield _large(f"fs.{place}.used-bytes", each.used)
        yield _count(f"fs.{place}.disk.count", 0)


def _disks(names: Sequence[str]) -> Iterator[Parameter]:
    yield _count("disk.count", len(names))
    for place, name in enumerate(names):
        yield _text(f"disk.{place}.name", f"/dev/{name}")
        yield Parameter(f"disk.{place}.partition", ParameterType.BOOLEAN, False)
        yield _text(f"disk.{place}.alias", name)


def _interfaces(interfaces: Sequence[GuestInterface]) -> Iterator[Parameter]:
    yield _count("if.count", len(interfaces))
    for place, each in enumerate(interfaces):
        yield _text(f"if.{place}.name", each.name)
        if each.mac:
            yield _text(f"if.{place}.hwaddr", each.mac)
        yield _count(f"if.{place}.addr.count", len(each.addresses))
        for number, one in enumerate(each.addresses):
            yield _text(f"if.{place}.addr.{number}.type", "ipv6" if ":" in one.address else "ipv4")
            yield _text(f"if.{place}.addr.{number}.addr", one.address)
            yield _count(f"if.{place}.addr.{number}.prefix", one.prefix)
