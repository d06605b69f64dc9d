"""Names of chains and counters from names of networks and interfaces, which may hold what nft's text cannot."""

import hashlib

_LONGEST = 100
"""Bytes; the kernel takes 128 from tools as they are today."""
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def chain_name(kind: str, name: str) -> str:
    """Return the name of the chain of a kind for a network or an interface: no two have the same.

    Other characters than letters, digits, - and _ stand as a dot and two hexadecimal digits a byte; what is too long,
    by its beginning and a digest.
    """
    return f"{kind}/{plain_name(name)}"


def plain_name(name: str) -> str:
    """Return what stands for a name there."""
    plain = "".join(
        each if each in _PLAIN else "".join(f".{byte:02x}" for byte in each.encode(errors="surrogateescape"))
        for each in name
    )
    if len(plain) > _LONGEST:
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
        plain = f"{plain[: _LONGEST - 18]}..{digest}"
    return plain
