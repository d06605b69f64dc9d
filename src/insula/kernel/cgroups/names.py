"""Names of control groups, as libvirt and systemd make them.

Sources: libvirt's generator of machine names (a machine is `lxc-ID-NAME`, hostname characters only) and systemd's unit
name escaping and slice nesting (systemd.unit(5), "String Escaping for Inclusion in Unit Names"; systemd.slice(5)).
"""

import errno
import string
from functools import lru_cache

_MACHINE_CHARACTERS = frozenset(string.ascii_letters + string.digits)
_UNIT_CHARACTERS = frozenset(string.ascii_letters + string.digits + ":_.")
_MACHINE_LENGTH = 64
"""Bytes a machine name may have: a host name's, as systemd-machined checks it."""
_LATELY = 256
"""Names that are kept: at a start and at an end, the same one is asked for at every step."""


def escape_unit(name: str) -> str:
    """Return name as one component of a systemd unit's name: `/` becomes `-`, anything unusual `\\xNN`."""
    pieces = []
    for index, character in enumerate(name):
        if character == "/":
            pieces.append("-")
        elif character in _UNIT_CHARACTERS and not (index == 0 and character == "."):
            pieces.append(character)
        else:
            pieces.extend(f"\\x{byte:02x}" for byte in character.encode())
    return "".join(pieces)


def machine_name(identity: int, name: str) -> str:
    """Return libvirt's machine name of a domain: `lxc-4711-web`.

    Characters that no host name has are dropped, runs of dots and dashes shortened to their first.
    """
    machine = f"lxc-{identity}-"
    separated = True
    for character in name:
        if len(machine) >= _MACHINE_LENGTH:
            break
        if character in ".-":
            machine += "" if separated else character
            separated = True
        elif character in _MACHINE_CHARACTERS:
            machine += character
            separated = False
    return machine.rstrip(".-")


@lru_cache(_LATELY)
def scope_name(identity: int, name: str) -> str:
    """Return the group of a domain: `machine-lxc\\x2d4711\\x2dweb.scope`. identity: the domain's id."""
    return f"machine-{escape_unit(machine_name(identity, name))}.scope"


@lru_cache(_LATELY)
def partition_path(partition: str) -> str:
    """Return where a partition is below a hierarchy's root: `/machine/prod` is `machine.slice/machine-prod.slice`.

    A component that already is a unit's or a group's full name (it has a suffix, such as `machine.slice`) is kept.
    Raises: OSError(EINVAL) for a component that would lead elsewhere.
    """
    components: list[str] = []
    for word in filter(None, partition.split("/")):
        if word in {".", ".."} or "\0" in word:
            raise OSError(errno.EINVAL, "a partition is a path below the root of the control groups", partition)
        if "." in word[1:]:
            components.append(word)
            continue
        above = components[-1].removesuffix(".slice") + "-" if components else ""
        components.append(f"{above}{escape_unit(word)}.slice")
    return "/".join(components)


def slice_name(partition: str) -> str:
    """Return the systemd slice that stands for a partition: `/machine/prod` is `machine-prod.slice`, none `-.slice`."""
    return partition_path(partition).rpartition("/")[2] or "-.slice"
