"""The page of the reference that says which system calls guests may make, which not, and why.

`scripts/build-reference` writes it from the lists that the filter is made of; a test says when it differs from them.
"""

import argparse
import errno
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from insula.engine.policy.callgroups import CallGroup, ForbiddenArgument, Refusal
from insula.engine.policy.hostpolicy import HOST_WIDE_ARGUMENTS
from insula.engine.policy.namespacepolicy import MIGRATABLE_ARGUMENTS, NEW_MOUNT_ARGUMENTS
from insula.engine.policy.syscalls import ALLOWED, FORBIDDEN_ARGUMENTS, PERSONALITIES, REFUSED

PAGE = Path("docs/reference/system-calls.md")

_HEAD = """# System calls

What a guest's processes may ask the kernel. One filter answers, in this order: single uses that are refused, then calls
by their names, and whatever stands nowhere on this page fails with ENOSYS, as on a kernel that is older than the call.
The kernel still checks every call that passes, against the guest's user namespace where it has one.

Some of what is refused has a line of the definition that lets it through:
[What is refused by default](domain-xml.md#what-is-refused-by-default), which tells of sockets, too.
`insula explain DOMAIN -- COMMAND` finds out [which of this a command fails by](../howto/refusals.md).

Made from the lists that the filter is made of by `scripts/build-reference`.
"""
_PERSONALITY = """
personality(2) passes with {values}: plain and 32-bit Linux, each also with an old version number or without address
randomisation, and the question what it is. Others fail with ENOSYS: some lower the defences of programs started later.
"""


def page() -> str:
    """The page: one table a list, one row a group of calls that share a reason."""
    sections = (
        ("What passes", "", ALLOWED),
        ("What is refused by name", "", REFUSED),
        ("Uses of calls that are refused", "", FORBIDDEN_ARGUMENTS),
        (
            "What the profile `migratable` refuses besides",
            "For containers of the [Python package](python.md) that ask for it: `SeccompProfile.MIGRATABLE`.",
            MIGRATABLE_ARGUMENTS,
        ),
        (
            "What privileged guests are refused besides",
            "Guests without an id map, unless the definition has `<insula:allow feature='mounts'/>`. "
            "Of the requests of Btrfs they have those that concern single files and subvolumes.",
            (*NEW_MOUNT_ARGUMENTS, *HOST_WIDE_ARGUMENTS),
        ),
    )
    parts = [_HEAD]
    for title, introduction, groups in sections:
        parts.append(f"\n## {title}\n\n" + (f"{introduction}\n\n" if introduction else ""))
        parts += _table(groups)
        if groups is ALLOWED:
            parts.append(_PERSONALITY.format(values=", ".join(f"{each:#x}" for each in PERSONALITIES)))
    return "".join(parts)


def _table(groups: Sequence[CallGroup]) -> Iterator[str]:
    answered = any(isinstance(group, Refusal) for group in groups)
    yield "| calls | why | answer |\n|---|---|---|\n" if answered else "| calls | why |\n|---|---|\n"
    yield from dict.fromkeys(_row(group) for group in groups)


def _row(group: CallGroup) -> str:
    names = " ".join(f"`{name}`" for name in group.names)
    if isinstance(group, ForbiddenArgument) and group.conditions:
        names += f" with {' and '.join(_words(each.argument, each.value, each.mask) for each in group.conditions)}"
    answer = f" {errno.errorcode[group.errno]} |" if isinstance(group, Refusal) else ""
    return f"| {names} | {group.why} |{answer}\n"


def _words(argument: int, value: int, mask: int) -> str:
    """Say a condition; arguments are counted from 1 for readers."""
    every_bit = mask & 0xFFFFFFFF == 0xFFFFFFFF
    bits = "" if every_bit else f" in the bits {mask & 0xFFFFFFFF:#x}"
    return f"argument {argument + 1} {value:#x}{bits}"


def main() -> None:
    """Write it below the checkout that the first argument names."""
    parser = argparse.ArgumentParser(description="Write the page of system calls.")
    parser.add_argument("checkout", type=Path)
    place = parser.parse_args(sys.argv[1:]).checkout / PAGE
    if not place.is_file() or place.read_text(encoding="utf-8") != page():
        place.write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
