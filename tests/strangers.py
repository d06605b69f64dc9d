"""Definitions that people and programs write, and what libvirt's LXC driver reads in them.

    python -m tests.strangers        asks a libvirtd of our own about each again, and writes read-by-libvirt/

Each file names its source; facts are retyped, nothing is copied. What libvirt reads was recorded with its version 9.0.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from lxml import etree

DIRECTORY = Path(__file__).with_name("data") / "strangers"
DEFINITIONS = sorted(DIRECTORY.glob("*.xml"))
READ = DIRECTORY / "read-by-libvirt"

Fact = tuple[str, str]
"""A path such as `/domain/vcpu/@current`, and what stands there; an element that is there is a fact without a value."""


def facts(xml: str) -> set[Fact]:
    """Return everything that a document says, wherever it stands among its like."""
    return set(_facts(etree.fromstring(xml.encode()), ""))


def _facts(element: etree._Element, above: str) -> Iterator[Fact]:
    path = f"{above}/{etree.QName(element).localname}"
    yield path, (element.text or "").strip()
    yield from ((f"{path}/@{name}", str(value)) for name, value in element.items())
    for child in element.iterchildren("*"):
        yield from _facts(child, path)


def record() -> None:
    """Have libvirt read each definition, and keep what it shows of it."""
    from benchmarks.peers import LibvirtLxc

    with TemporaryDirectory() as work:
        peer = LibvirtLxc()
        peer.prepare(Path("/"), Path(work))
        try:
            for path in DEFINITIONS:
                name = str(etree.parse(path).getroot().findtext("name"))
                peer.virsh("define", str(path))
                (READ / path.name).write_text(peer.virsh("dumpxml", "--inactive", name).strip() + "\n")
                peer.virsh("undefine", name)
                sys.stdout.write(f"{path.name}\n")
        finally:
            peer.finish()


if __name__ == "__main__":
    record()
