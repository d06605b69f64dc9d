"""The page of the reference that says which calls of libvirt's mean nothing to a container or its host, and why.

`scripts/build-reference` writes it; a test says when it is not what the daemon answers.
"""

import argparse
import sys
from pathlib import Path

from insula.rpc.absentreasons import ABSENT_REASONS

PAGE = Path("docs/reference/refusals.md")

_HEAD = """# What containers do not have

Calls of libvirt's that mean nothing to a container, or that its host does by other means, are refused as libvirt's
drivers refuse what they do not have (number 3, "this function is not supported by the connection driver"), and the
refusal says why, or what to use instead:

    $ virsh -c lxc:///system screenshot web
    error: this function is not supported by the connection driver: virDomainScreenshot: {example}

| call | why, and what to use instead |
|---|---|
"""


def page() -> str:
    """The page; calls that are refused for one reason stand together."""
    calls: dict[str, list[str]] = {}
    for api, reason in ABSENT_REASONS.items():
        calls.setdefault(reason, []).append(f"`{api}`")
    rows = [f"| {', '.join(named)} | {reason} |\n" for reason, named in calls.items()]
    return _HEAD.format(example=ABSENT_REASONS["virDomainScreenshot"]) + "".join(rows)


def main() -> None:
    """Write it below the checkout that the first argument names."""
    parser = argparse.ArgumentParser(description="Write the page of what is refused.")
    parser.add_argument("checkout", type=Path)
    place = parser.parse_args(sys.argv[1:]).checkout / PAGE
    if not place.is_file() or place.read_text(encoding="utf-8") != page():
        place.write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
