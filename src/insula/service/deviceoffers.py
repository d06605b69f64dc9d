"""What `<insula:device>` can name on this host at present: the overview for administrators."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from insula.engine.policy.deviceclasses import DEVICE_CLASSES
from insula.engine.threads import in_own_thread
from insula.errors import UnsupportedConfigError
from insula.model.devicegrants import DeviceGrant, HookPolicy
from insula.service.grantednodes import DeviceGrants, GrantedDevices


class DeviceOffers:
    """Tells what the host has for device classes, and which devices vendors describe."""

    def __init__(self, grants: DeviceGrants) -> None:
        self._grants = grants

    async def offers(self) -> list[dict[str, Any]]:
        """Return each as JSON-able data; see `DeviceOffer`. What is wrong with a file of a vendor's is one of them."""
        return [each.described() for each in await in_own_thread(lambda: tuple(self._found()))]

    def _found(self) -> "Iterator[DeviceOffer]":
        for name in DEVICE_CLASSES:
            nodes = tuple(each.guest for each in self._grants.nodes_of(name))
            yield DeviceOffer(kind="class", name=name, nodes=nodes, problem=None if nodes else "the host has none")
        described = self._grants.cdi.read()
        for name in sorted({*described.devices, *described.conflicts}):
            try:
                granted = self._grants.resolve([DeviceGrant(cdi=name, hooks=HookPolicy.SKIP)])
                self._grants.resolve([DeviceGrant(cdi=name)])
            except UnsupportedConfigError as error:
                yield DeviceOffer(kind="cdi", name=name, problem=str(error))
            else:
                yield _described(name, granted)
        for path, why in described.faults.items():
            yield DeviceOffer(kind="file", name=path, problem=why)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceOffer:
    """kind: class, cdi, or file for a description that is not read; nodes: below /dev; problem: why it is not had."""

    kind: str
    name: str
    nodes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str | None = None

    def described(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "nodes": list(self.nodes),
            "remarks": list(self.remarks),
            "problem": self.problem,
        }


def _described(name: str, granted: GrantedDevices) -> DeviceOffer:
    nodes = tuple(each.guest for each in granted.devices)
    return DeviceOffer(kind="cdi", name=name, nodes=nodes, remarks=granted.remarks)
