"""The kernel's audit: what programs of the host that are trusted say happened, kept by auditd or the journal.

Sources: audit(8), linux/audit.h, libaudit's audit_log_user_message(3) for the form, libvirt's domain_audit.c for the
fields of virtual machines.
"""

import os
import socket
import struct
import sys
from enum import IntEnum
from typing import Final

_NETLINK_AUDIT: Final = 9
_HEADER: Final = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence number, port."""
_REQUEST_AND_ANSWER: Final = 0x5
_ERROR: Final = 2
_STATUS: Final = 1000
_SECONDS: Final = 5.0
"""For an answer: the kernel holds writers up while a program that keeps records does not take them."""
_PART: Final = 65536
VALUE_MAX: Final = 1000
"""Bytes of a value that are told, its beginning and its end: of a text the kernel keeps 8560 bytes and drops the rest,
where the result stands. Two values of this length, a domain's name and a program's path fit, in hexadecimal too."""


class AuditKind(IntEnum):
    """The kinds of records about virtual machines."""

    CONTROL = 2500
    RESOURCE = 2501


class KernelAudit:
    """A socket to it. May block for some seconds: not on an event loop."""

    def __init__(self, opened: socket.socket | None = None) -> None:
        """opened: one to use instead of the kernel's. Raises: OSError where the kernel has no audit."""
        self._socket = opened or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_AUDIT)
        self._socket.settimeout(_SECONDS)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    @property
    def enabled(self) -> bool:
        """Whether records are kept: the kernel drops them all where nobody has switched audit on. Raises: OSError."""
        enabled = False
        for kind, body in self._asked(_STATUS, b""):
            if kind == _STATUS:
                _, number = struct.unpack_from("=II", body)
                enabled = bool(number)
        return enabled

    def record(self, kind: AuditKind, text: str) -> None:
        """Write a record; text: its fields. Raises: OSError if the kernel does not take it."""
        program = encoded("exe", os.path.realpath(sys.executable))
        self._asked(kind, text_of(text, program).encode() + b"\0")

    def _asked(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """Send a request, and return what came before its acknowledgement, and after it if that is the only answer."""
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_AND_ANSWER, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[tuple[int, bytes]] = []
        acknowledged = False
        while not acknowledged or (kind == _STATUS and not answers):
            part = self._socket.recv(_PART)
            _, answer, _, sequence, _ = _HEADER.unpack_from(part)
            if sequence != self._sequence:
                continue
            if answer == _ERROR:
                (number,) = struct.unpack_from("=i", part, _HEADER.size)
                if number:
                    raise OSError(-number, os.strerror(-number))
                acknowledged = True
            else:
                answers.append((answer, part[_HEADER.size :]))
        return answers


def encoded(name: str, value: str) -> str:
    """Return `name="value"`, or the value's bytes in hexadecimal where it could be taken for more than a value.

    As audit_encode_nv_string(3) has it: quotes, control characters, blanks and what is no ASCII; also single quotes, as
    the kernel puts a whole text between them. What is too long is told in part.
    """
    raw = _shortened(value.encode("utf-8", "surrogateescape"))
    if not raw:
        return f"{name}=?"
    plain = all(0x21 <= each <= 0x7E and each not in b"\"'" for each in raw)
    return f'{name}="{raw.decode()}"' if plain else f"{name}={raw.hex().upper()}"


def _shortened(raw: bytes) -> bytes:
    half = VALUE_MAX // 2
    return raw if len(raw) <= VALUE_MAX else raw[:half] + b"..." + raw[-half:]


def text_of(fields: str, program: str) -> str:
    """Return a record's text: its fields, with the result last and, before it, who says so."""
    said, _, result = fields.rpartition(" ")
    return f"{said} {program} hostname=? addr=? terminal=? {result}"
