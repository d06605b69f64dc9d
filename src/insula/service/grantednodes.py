"""What the host has for `<insula:device>`: nodes, and what a vendor's description wants beside them."""

import grp
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from insula.conversion.cdidescription import CdiEdits, CdiHook, CdiMount, CdiNode
from insula.engine.policy.deviceclasses import DEVICE_CLASSES, NodePattern
from insula.engine.spec import Access, BindMount, Device, DeviceKind
from insula.errors import UnsupportedConfigError
from insula.layout import Layout
from insula.model.devicegrants import DeviceGrant, HookPolicy
from insula.model.devices import StartupPolicy
from insula.model.visible import visible
from insula.service.cdidirectories import CdiDevices, CdiDirectories
from insula.service.hostdevices import DEV

_COVERED = ("/dev", "/proc", "/sys")
_BIND_OPTIONS = frozenset(
    {"bind", "rbind", "ro", "rw", "nosuid", "nodev", "noexec", "suid", "dev", "exec"}
    | {"private", "rprivate", "slave", "rslave", "shared", "rshared"}
)
_LIBRARIES = frozenset({"update-ldcache", "create-symlinks", "create-soname-symlinks", "enable-cuda-compat", "chmod"})
"""Hooks that make files of the guest's fit, which the guest can do itself."""
_HARMLESS = frozenset({"disable-device-node-modification"})
"""Hooks against what no guest can do here anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantedDevices:
    """What a domain gets. environment: of its init; remarks: what an administrator should know, in words."""

    devices: tuple[Device, ...] = ()
    mounts: tuple[BindMount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def beside(self, devices: Iterable[Device]) -> tuple[Device, ...]:
        """Return devices and those of these that none of them is already."""
        given = {each.guest: each for each in devices}
        for each in self.devices:
            former = given.get(each.guest)
            given[each.guest] = each if former is None else replace(former, asked_by=each.asked_by)
        return tuple(given.values())


NOTHING_GRANTED = GrantedDevices()


class DeviceGrants:
    """Resolves grants; blocks as long as reading small files of the host's does. devices: the host's /dev."""

    def __init__(
        self, cdi: CdiDirectories, devices: Path = Path("/dev"), terminals: Path = Path("/sys/class/tty")
    ) -> None:
        self.cdi = cdi
        self._devices = devices
        self._terminals = terminals

    def resolve(self, grants: Iterable[DeviceGrant]) -> GrantedDevices:
        """Return what the host has for grants now.

        Raises: UnsupportedConfigError for what it has not, or what a description asks for and cannot be had.
        """
        wanted = tuple(grants)
        if not wanted:
            return NOTHING_GRANTED
        described = self.cdi.read() if any(each.cdi is not None for each in wanted) else CdiDevices()
        nodes: dict[str, Device] = {}
        mounts: dict[str, BindMount] = {}
        environment: dict[str, str] = {}
        remarks: list[str] = []
        for grant in wanted:
            try:
                one = self._class(grant) if grant.cdi is None else self._described(grant, described)
            except UnsupportedConfigError as error:
                if grant.startup_policy is not StartupPolicy.OPTIONAL:
                    raise
                remarks.append(f"it is without the device {grant.key}: {error}")
                continue
            for device in one.devices:
                former = nodes.get(device.guest)
                asked_by = (*former.asked_by, grant.key) if former is not None else (grant.key,)
                nodes[device.guest] = replace(former or device, asked_by=asked_by)
            for mount in one.mounts:
                shown = mounts.get(mount.target, mount)
                mounts[mount.target] = replace(shown, asked_by=(*shown.asked_by, grant.key))
            environment.update(one.environment)
            remarks += one.remarks
        return GrantedDevices(
            devices=tuple(nodes.values()),
            mounts=tuple(mounts.values()),
            environment=tuple(environment.items()),
            remarks=tuple(remarks),
        )

    def nodes_of(self, name: str) -> tuple[Device, ...]:
        """Return the nodes that the host has of a device class at present, none for one that it has not."""
        consoles = self._active_consoles() if name == "serial" else frozenset[str]()
        found: dict[str, Device] = {}
        for pattern in DEVICE_CLASSES[name]:
            for path in self._matching(self._devices, pattern.path.split("/")):
                if name == "serial" and (path.name in consoles or not self._has_hardware(path.name)):
                    continue
                device = self._of_class(path, pattern)
                if device is not None:
                    found.setdefault(device.guest, device)
        return tuple(found.values())

    def _class(self, grant: DeviceGrant) -> GrantedDevices:
        name = grant.device_class or ""
        devices = self.nodes_of(name)
        if not devices:
            places = ", ".join(f"/dev/{each.path}" for each in DEVICE_CLASSES[name])
            otherwise = ", or make the grant startupPolicy='optional'"
            advice = "" if grant.startup_policy is StartupPolicy.OPTIONAL else otherwise
            raise UnsupportedConfigError(
                f"the host has no device of class '{name}' ({places}); load its driver{advice}"
            )
        return GrantedDevices(devices=devices)

    def _matching(self, directory: Path, parts: list[str]) -> Iterator[Path]:
        pattern = re.compile(re.escape(parts[0]).replace(r"\*", "[A-Za-z0-9]+"))
        try:
            names = sorted(each for each in os.listdir(directory) if pattern.fullmatch(each))
        except OSError:  # the host has nothing of that kind
            return
        for name in names:
            if len(parts) == 1:
                yield directory / name
            else:
                yield from self._matching(directory / name, parts[1:])

    def _of_class(self, path: Path, pattern: NodePattern) -> Device | None:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        if not stat.S_ISCHR(status.st_mode):
            return None
        return Device(
            kind=DeviceKind.CHARACTER,
            major=os.major(status.st_rdev),
            minor=os.minor(status.st_rdev),
            host=str(path),
            guest=str(path.relative_to(self._devices)),
            mode=pattern.mode,
            groups=pattern.groups,
            access="rw",
        )

    def _active_consoles(self) -> frozenset[str]:
        """Return terminals that are the host's console: its logins and its kernel's messages go there."""
        try:
            return frozenset((self._terminals / "console/active").read_text().split())
        except OSError:
            return frozenset()

    def _has_hardware(self, name: str) -> bool:
        """Whether there is a line behind a terminal: the kernel has nodes for more than there are (type 0)."""
        try:
            return (self._terminals / name / "type").read_text().strip() != "0"
        except OSError:  # only serial8250 and its like tell
            return True

    def _described(self, grant: DeviceGrant, described: CdiDevices) -> GrantedDevices:
        name = grant.cdi or ""
        edits = described.find(name)
        if edits is None:
            places = " or ".join(map(str, self.cdi.directories))
            faults = "; ".join(f"{path}: {why}" for path, why in described.faults.items())
            raise UnsupportedConfigError(
                f"no file in {places} describes the CDI device '{name}'" + (f" ({visible(faults)})" if faults else "")
            )
        if edits.unmet:
            raise UnsupportedConfigError(f"the CDI device '{name}' asks for {', '.join(edits.unmet)}: it is not given")
        return GrantedDevices(
            devices=tuple(_node(name, each) for each in edits.nodes),
            mounts=tuple(_mount(name, each) for each in edits.mounts),
            environment=edits.environment,
            remarks=tuple(_remarks(name, edits, skip=grant.hooks is HookPolicy.SKIP)),
        )


def grants_of(layout: Layout) -> DeviceGrants:
    """Return what resolves the grants of an installation's domains."""
    return DeviceGrants(CdiDirectories((layout.described_devices, layout.described_devices_until_boot)))


def _remarks(name: str, edits: CdiEdits, *, skip: bool) -> Iterator[str]:
    libraries = [each for each in edits.hooks if _does(each) in _LIBRARIES]
    others = [each for each in edits.hooks if _does(each) not in _LIBRARIES | _HARMLESS]
    if libraries:
        yield (
            f"the CDI device '{name}': no program of the host's is run for it ({', '.join(map(_does, libraries))}); "
            "run ldconfig in the guest once, so that it finds the libraries"
        )
    if others and not skip:
        raise UnsupportedConfigError(
            f"the CDI device '{name}' wants programs of the host's run as root at each start "
            f"({', '.join(visible(' '.join(each.argv[:2])) for each in others)}): they are not; give the grant "
            "hooks='skip' if it is usable without"
        )
    if others:
        yield f"the CDI device '{name}': skipped are {', '.join(visible(' '.join(each.argv[:2])) for each in others)}"


def _does(hook: CdiHook) -> str:
    """Return what a vendor's own program for hooks is told to do; empty for any other program."""
    program, *arguments = hook.argv
    words = [each for each in arguments if not each.startswith("-") and each != "hook"]
    return words[0] if words and PurePosixPath(program).name in ("nvidia-cdi-hook", "nvidia-ctk") else ""


def _node(name: str, node: CdiNode) -> Device:
    kind, major, minor = node.kind, node.major, node.minor
    status = None
    try:
        status = os.stat(node.host)
    except OSError as error:
        if kind is None or major is None:
            raise UnsupportedConfigError(
                f"the CDI device '{name}': the host has no '{visible(node.host)}': {error.strerror}"
            ) from error
    if status is not None and (kind is None or major is None):
        found = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else None
        if found is None or (kind is not None and found != kind):
            raise UnsupportedConfigError(f"the CDI device '{name}': '{visible(node.host)}' is no such device node")
        kind, major, minor = found, os.major(status.st_rdev), os.minor(status.st_rdev)
    assert kind is not None and major is not None and minor is not None
    host_gid = node.gid if node.gid is not None else status.st_gid if status is not None else 0
    mode = node.mode if node.mode is not None else stat.S_IMODE(status.st_mode) & 0o666 if status is not None else 0o660
    return Device(
        kind=DeviceKind(kind),
        major=major,
        minor=minor,
        host=node.host,
        guest=str(PurePosixPath(node.path).relative_to(DEV)),
        mode=mode,
        uid=node.uid or 0,
        gid=node.gid or 0,
        groups=_names_of(host_gid),
        access=node.access,
    )


def _names_of(gid: int) -> tuple[str, ...]:
    """Return the host's name of a group: its number is another in each distribution."""
    if gid == 0:
        return ()
    try:
        return (grp.getgrgid(gid).gr_name,)
    except KeyError:
        return ()


def _mount(name: str, mount: CdiMount) -> BindMount:
    """Return a mount, always read-only and under the host's owners: of what is the host's, the guest may read what
    everybody there may."""
    odd = set(mount.options) - _BIND_OPTIONS
    if mount.kind not in ("", "none", "bind") or odd:
        what = mount.kind if not odd else ",".join(sorted(odd))
        raise UnsupportedConfigError(f"the CDI device '{name}' wants a mount '{visible(what)}': only binds are given")
    place = PurePosixPath(mount.inside)
    if any(place.is_relative_to(each) for each in _COVERED):
        raise UnsupportedConfigError(
            f"the CDI device '{name}' wants '{visible(mount.host)}' shown at '{visible(mount.inside)}': it is not"
        )
    if not os.path.lexists(mount.host):
        raise UnsupportedConfigError(f"the CDI device '{name}': the host has no '{visible(mount.host)}'")
    return BindMount(source=mount.host, target=mount.inside, access=Access.READ_ONLY, idmapped=False)
