"""What a guest that runs tells of itself without an agent: its system, users, time zone, name, interfaces, disks.

The kernel is asked first; what only the guest's files say, a look reads (`engine.look.systemlook`). The names of
parameters and their types are libvirt's (virDomainGetGuestInfo).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from insula.errors import ArgumentUnsupportedError, NoHostnameError, OperationFailedError
from insula.model.numbers import AddressSource, GuestInfo, ParameterType
from insula.model.visible import visible
from insula.network.guestinterfaces import GuestInterface
from insula.service.guest import GuestVerbs
from insula.service.guestfilesystems import GuestFilesystem, GuestFilesystemVerbs
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter

PARAMETERS_MAX = 2048
"""Source: REMOTE_DOMAIN_GUEST_INFO_PARAMS_MAX of libvirt's protocol."""
_READ = GuestInfo.USERS | GuestInfo.OS | GuestInfo.TIMEZONE
"""What the guest's files are read for."""
_ANSWERED = _READ | GuestInfo.HOSTNAME | GuestInfo.FILESYSTEM | GuestInfo.DISKS | GuestInfo.INTERFACES
_MILLISECONDS = 1000


class GuestSystemVerbs:
    """Asks guests about themselves."""

    def __init__(self, guest: GuestVerbs, filesystems: GuestFilesystemVerbs, visits: GuestVisits) -> None:
        self._guest = guest
        self._filesystems = filesystems
        self._visits = visits

    async def info(self, managed: ManagedDomain, wanted: GuestInfo) -> list[Parameter]:
        """Return what is wanted, everything that there is for nothing.

        Raises: ArgumentUnsupportedError for what no container has; OperationInvalidError if it is off, or paused;
        OperationTimeoutError if its file system does not answer; NoHostnameError.
        """
        if wanted & ~_ANSWERED:
            raise ArgumentUnsupportedError(
                "the load of one container is not known, only the host's is; ask for users, os, timezone, "
                "hostname, filesystem, disk or interface"
            )
        asked = wanted or _ANSWERED
        said: Mapping[str, Any] = await self._visits.look(managed, "tell-system", {}) if asked & _READ else {}
        told: list[Parameter] = []
        if GuestInfo.USERS in asked:
            told += _users(said["users"])
        if GuestInfo.OS in asked:
            told += _system(said["os"], said["kernel"])
        if GuestInfo.TIMEZONE in asked and said["zone"] is not None:
            told += [_text("timezone.name", said["zone"]["name"]), _int("timezone.offset", said["zone"]["offset"])]
        if GuestInfo.HOSTNAME in asked:
            told += await self._hostname(managed, needed=bool(wanted))
        if GuestInfo.FILESYSTEM in asked:
            told += _filesystems(await self._filesystems.filesystems(managed))
        if GuestInfo.DISKS in asked:
            told += _disks([each.target.device for each in managed.current.devices.disks])
        if GuestInfo.INTERFACES in asked:
            told += _interfaces(await self._guest.interfaces(managed, AddressSource.AGENT))
        if len(told) > PARAMETERS_MAX:
            raise OperationFailedError(
                f"domain '{managed.name}' tells more than an answer may have: ask for less at once"
            )
        return told

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
