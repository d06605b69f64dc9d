"""Devices of the host by one word: `<insula:device>`; which nodes that are, a start finds out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.engine.policy.deviceclasses import DEVICE_CLASSES
from insula.model.devices import StartupPolicy
from insula.model.xmlmap import Attribute, Mapped

CDI_NAME = re.compile(
    r"(?=[^/]{1,253}/)(?P<vendor>[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?)/(?P<class>[A-Za-z]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)"
    r"=(?P<device>[A-Za-z0-9]([A-Za-z0-9_.:-]{0,251}[A-Za-z0-9])?)\Z"
)
"""vendor/class=device. Source: the specification of the Container Device Interface, "Kind" and "CDI Devices"."""
GRANTS_MAX = 64


class HookPolicy(StrEnum):
    """What becomes of the host's programs that a description of devices wants to be run at a start."""

    REFUSE = "refuse"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceGrant(Mapped):
    """`<insula:device class='gpu'/>`, or `<insula:device cdi='vendor.com/gpu=0'/>`. Exactly one of both attributes.

    hooks: of a CDI device that is described with programs to run, None refuses it; startup_policy: `optional` starts
    without it where the host has none.
    """

    device_class: Annotated[str | None, Attribute("class")] = None
    cdi: Annotated[str | None, Attribute("cdi")] = None
    hooks: Annotated[HookPolicy | None, Attribute("hooks")] = None
    startup_policy: Annotated[StartupPolicy | None, Attribute("startupPolicy")] = None

    @property
    def key(self) -> str:
        """By what it is told from others."""
        return f"class {self.device_class}" if self.cdi is None else f"cdi {self.cdi}"

    @property
    def alias(self) -> None:
        """It has none: a class stands for any number of nodes."""


def grant_problems(grants: tuple[DeviceGrant, ...], *, shares_network: bool) -> Iterator[str]:
    """Yield what is wrong with the grants of a domain. shares_network: it has a share of the host's network."""
    if len(grants) > GRANTS_MAX:
        yield f"there are more than {GRANTS_MAX} of <insula:device>"
    seen = set[str]()
    for each in grants:
        if (each.device_class is None) == (each.cdi is None):
            yield "<insula:device> has either class or cdi; write one element for each"
            continue
        if each.key in seen:
            yield f"the device {each.key} is asked for twice"
        seen.add(each.key)
        if each.device_class is not None and each.device_class not in DEVICE_CLASSES:
            yield f"there is no device class '{each.device_class}'; choose of {', '.join(DEVICE_CLASSES)}"
        if each.cdi is not None and not CDI_NAME.match(each.cdi):
            yield f"'{each.cdi}' names no CDI device; write vendor/class=name, such as nvidia.com/gpu=0"
        if each.hooks is not None and each.cdi is None:
            yield f"the device class '{each.device_class}' has no hooks; take the attribute out"
        if each.device_class == "tun" and shares_network:
            yield "the device class 'tun' would reach taps of the host, whose network the domain shares; take it out"
