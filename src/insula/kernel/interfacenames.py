"""What may be the name of a network interface."""

import re

NAME_MAX = 15
"""Bytes; the kernel's IFNAMSIZ holds 16 with its closing zero."""

_NAME = re.compile(rf"(?![@-])[!-$&-)+-.0-9;-\[\]-~]{{1,{NAME_MAX}}}\Z")
"""ASCII that is seen, but slash and colon, which the kernel refuses, and what makes another thing of a name: `%` a
pattern to the kernel, `*` and its escape by a backslash one to nftables, `@` in front one of its sets, `-`
in front an option to programs."""
_RESERVED = frozenset({".", "..", "lo", "all", "default"})
"""The kernel refuses the first two, lo is there already, and the others mean every interface in /proc/sys/net."""


def is_interface_name(name: str) -> bool:
    """Whether an interface may have this name. Source: dev_valid_name() in Linux' net/core/dev.c."""
    return name not in _RESERVED and _NAME.match(name) is not None
