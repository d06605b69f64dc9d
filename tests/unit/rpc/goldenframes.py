"""Packets that libvirt's own clients and daemon exchanged, recorded between them."""

from pathlib import Path
from typing import NamedTuple

from insula.rpc.frames import Frame, Splitter

RECORDED = Path(__file__).parents[2] / "data/rpc/libvirt-9.0-frames.txt"


class Recorded(NamedTuple):
    """One packet. sender: `client` or `server`; raw: as it was on the wire."""

    sender: str
    raw: bytes
    frame: Frame


def recorded() -> list[Recorded]:
    """All packets, in the order they were first seen."""
    packets = []
    for line in RECORDED.read_text().splitlines():
        if not line.startswith("#"):
            sender, digits = line.split()
            raw = bytes.fromhex(digits)
            (frame,) = Splitter().feed(raw)
            packets.append(Recorded(sender, raw, frame))
    return packets
