"""What a guest's own programs are told of cards that the definition gives addresses: that they are configured already.

Else an image whose cards ask for addresses by themselves would take those away, or add others. Each program is told in
its own way, below /run, where nothing is of the image's. Sources: systemd.network(5), NetworkManager.conf(5), ifup(8).
"""

import re

from insula.engine.fragments.speccheck import own_network
from insula.engine.program.late import Late
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import MakeFile

UNITS = ("systemd-networkd.service", "systemd-networkd.socket")
RESOLVER_UNIT = "systemd-resolved.service"
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
"""A name that is no pattern."""
_WHY = "its addresses are there already, and are not {} to take away"


def given_cards(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that write files, in a /run of ours; systemd-networkd's of the guest's own with lower numbers
    come first."""
    given = [each.guest for each in spec.interfaces if each.addresses and _PLAIN.fullmatch(each.guest)]
    if not given:
        return []
    steps: list[GuestStep] = [
        MakeFile(
            why=_WHY.format("systemd-networkd's"),
            path=f"run/systemd/network/79-insula-{number}.network",
            content=Late(f"[Match]\nName={name}\n\n[Link]\nUnmanaged=yes\n"),
        )
        for number, name in enumerate(given)
    ]
    names = ";".join(f"interface-name:={name}" for name in given)
    return [
        *steps,
        MakeFile(
            why=_WHY.format("NetworkManager's"),
            path="run/NetworkManager/conf.d/79-insula.conf",
            content=Late(f"[keyfile]\nunmanaged-devices+={names}\n"),
        ),
        MakeFile(
            why="ifup passes over what is configured",
            path="run/network/ifstate",
            content=Late("".join(f"{name}={name}\n" for name in given)),
            mode=0o644,
        ),
    ]


def foreign_network_units(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the units that would configure a network which is not the guest's own: the host's, for one.

    Its resolver among them where the guest is told how names are resolved there.
    """
    if own_network(spec):
        return ()
    return UNITS if spec.resolver is None and not spec.nameservers else (*UNITS, RESOLVER_UNIT)
