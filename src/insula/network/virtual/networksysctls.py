"""The kernel's settings that networks need: what bridges may do by themselves, and who forwards packets.

Source: kernel documents on ip-sysctl (forwarding, force_forwarding, accept_ra, disable_ipv6), Linux'
net/ipv6/ip6_output.c.
"""

import errno
import os
from collections.abc import Collection
from pathlib import Path

SETTINGS = Path("/proc/sys/net")


class NetworkSysctls:
    """The settings of the calling thread's network namespace: /proc/sys/net shows every thread its own.

    root: where they stand.
    """

    def __init__(self, root: Path = SETTINGS) -> None:
        self._root = root

    def keep_quiet(self, bridge: str, *, ipv6: bool) -> None:
        """Let a bridge of ours take no address and no route from what guests say; without ipv6 it has none at all.

        Raises: OSError.
        """
        conf = self._root / "ipv6/conf" / bridge
        if not conf.is_dir():  # a kernel without IPv6
            return
        for name, value in (("accept_ra", "0"), ("autoconf", "0"), ("disable_ipv6", "0" if ipv6 else "1")):
            self._set(conf / name, value)

    def forward(self, bridge: str, devices: Collection[str], *, ipv6: bool) -> tuple[str, ...]:
        """Let packets pass between a bridge and devices, all that there are if none is named; return what was changed.

        Where devices are named, it is allowed to them and the bridge alone. The host's other interfaces keep what they
        have: if IPv6 can only be forwarded by all of them, those that have taken routes from routers go on doing so.
        Raises: OSError.
        """
        changed = self._forward_ipv4(bridge, devices)
        if ipv6 and (self._root / "ipv6/conf" / bridge).is_dir():
            changed += self._forward_ipv6(bridge, devices)
        return changed

    def _forward_ipv4(self, bridge: str, devices: Collection[str]) -> tuple[str, ...]:
        everywhere = self._root / "ipv4/ip_forward"
        if not devices:
            return self._turned_on(everywhere)
        for each in devices:
            if not (self._root / "ipv4/conf" / each).is_dir():
                raise OSError(errno.ENODEV, f"the host has no interface '{each}': change <forward dev=''/>")
        changed: tuple[str, ...] = ()
        for each in (bridge, *devices):
            changed += self._turned_on(self._root / "ipv4/conf" / each / "forwarding")
        return changed

    def _forward_ipv6(self, bridge: str, devices: Collection[str]) -> tuple[str, ...]:
        conf = self._root / "ipv6/conf"
        changed = self._turned_on(conf / bridge / "forwarding")  # it calls itself a router, so guests keep their route
        if self._is(conf / "all/forwarding", "1"):
            return changed
        if (conf / bridge / "force_forwarding").exists():  # since Linux 6.17: without becoming a router everywhere
            names = (bridge, *devices) if devices else ("all",)
            for each in names:
                changed += self._turned_on(conf / each / "force_forwarding")
            return changed
        for name in sorted(os.listdir(conf)):
            if name not in ("all", "default", "lo", bridge) and self._is(conf / name / "accept_ra", "1"):
                self._set(conf / name / "accept_ra", "2")
                changed += (f"net.ipv6.conf.{name}.accept_ra is 2, so that its routes by router advertisements stay",)
        return changed + self._turned_on(conf / "all/forwarding")

    def _turned_on(self, setting: Path) -> tuple[str, ...]:
        if self._is(setting, "1"):
            return ()
        self._set(setting, "1")
        return (f"{'.'.join(setting.relative_to(self._root.parent).parts)} is 1",)

    def _is(self, setting: Path, value: str) -> bool:
        try:
            return setting.read_text().strip() == value
        except FileNotFoundError:
            return False

    def _set(self, setting: Path, value: str) -> None:
        """Written only where it is something else: a read-only /proc/sys is no hindrance if all is right already."""
        if self._is(setting, value):
            return
        try:
            with open(setting, "w") as file:
                file.write(value)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: it cannot be set to {value}", str(setting)) from error
