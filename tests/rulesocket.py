"""The kernel's notices of changes of rules, made by hand. Source: linux/netfilter/nf_tables.h."""

import socket
import struct

DELETED_RULE, DELETED_TABLE, NEW_GENERATION = 8, 2, 15


def notice(kind: int, *attributes: tuple[int, bytes], subsystem: int = 10) -> bytes:
    """Return a message: nlmsghdr, nfgenmsg, attributes."""
    packed = b"".join(
        struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)
        for number, payload in attributes
    )
    return struct.pack("=IHHII", 20 + len(packed), subsystem << 8 | kind, 0, 0, 0) + bytes(4) + packed


def of_table(name: str, kind: int = DELETED_RULE) -> bytes:
    return notice(kind, (1, name.encode() + b"\0"))


def generation(process: int = 7, program: str = "nft") -> bytes:
    """Return the message that ends a transaction."""
    return notice(
        NEW_GENERATION, (1, struct.pack(">I", 99)), (2, struct.pack(">I", process)), (3, program.encode() + b"\0")
    )


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the socket that notices come from, and the one that they are put in."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    return ours, theirs
