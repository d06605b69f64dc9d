"""What a guest's systemd-networkd is told: the host configures cards that the definition gives addresses.

Else an image whose cards ask for addresses by themselves would take those away. Source: systemd.network(5).
"""

import re

from insula.engine.fragments.speccheck import own_network
from insula.engine.program.late import Late
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import MakeFile

UNITS = ("systemd-networkd.service", "systemd-networkd.socket")
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
"""A name that is no pattern."""


def networkd_files(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that write its files, in a /run of ours; a guest's own of lower numbers come first."""
    given = [each.guest for each in spec.interfaces if each.addresses and _PLAIN.fullmatch(each.guest)]
    why = "its addresses are there already, and are not systemd-networkd's to take away"
    return [
        MakeFile(
            why=why,
            path=f"run/systemd/network/79-insula-{number}.network",
            content=Late(f"[Match]\nName={name}\n\n[Link]\nUnmanaged=yes\n"),
        )
        for number, name in enumerate(given)
    ]


def foreign_network_units(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the units that would configure a network which is not the guest's own: the host's, for one."""
    return () if own_network(spec) else UNITS
