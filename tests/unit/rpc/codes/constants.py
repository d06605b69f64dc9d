"""libvirt-python's constants, to hold our numbers against."""

from enum import IntEnum, IntFlag

from tests import libvirt_python

NEWER = {
    "VIR_DOMAIN_EVENT_ID_CHANNEL_LIFECYCLE",
    "VIR_DOMAIN_EVENT_ID_NIC_MAC_CHANGE",
    "VIR_DOMAIN_EVENT_ID_VCPU_REMOVED",
    "VIR_ERR_NO_NETWORK_METADATA",
}
"""What the oldest client we support does not know yet."""


def differences(kind: type[IntEnum | IntFlag], prefix: str) -> dict[str, tuple[int, int | None]]:
    """Members that libvirt spells or numbers otherwise: the name, our number, libvirt's."""
    theirs = vars(libvirt_python.load())
    found = {}
    for member in kind:
        name = f"{prefix}{member.name}"
        # a flag of bit 31 is a negative number in libvirt-python
        number = theirs.get(name)
        if name not in NEWER and (number is None or number & 0xFFFFFFFF != member & 0xFFFFFFFF):
            found[name] = (int(member), number)
    return found
