"""The kernel's audit: the form of records, values that nothing can be slipped into, and what a kernel answers."""

import errno
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from insula.kernel.audit import AuditKind, KernelAudit, encoded, text_of
from tests.waiting import patience

HEADER = struct.Struct("=IHHII")


class FakeKernel:
    """Answers on the other end of a socket pair. enabled: what it says of itself; refusal: its answer to records."""

    def __init__(self, end: socket.socket, *, enabled: int = 1, refusal: int = 0, late_status: bool = False) -> None:
        self.end = end
        self.enabled = enabled
        self.refusal = refusal
        self.late_status = late_status
        self.records: list[tuple[int, bytes]] = []

    def serve(self) -> None:
        while message := self.end.recv(65536):
            _, kind, flags, sequence, _ = HEADER.unpack_from(message)
            assert flags == 5
            error = 0
            answers = []
            if kind == 1000:
                answers.append(self.packed(1000, sequence, struct.pack("=8I", 0, self.enabled, *[0] * 6)))
            else:
                self.records.append((kind, message[HEADER.size :]))
                error = self.refusal
            acknowledgement = self.packed(2, sequence, struct.pack("=i", -error) + message[: HEADER.size])
            answers.insert(0 if self.late_status else len(answers), acknowledgement)
            self.end.send(self.packed(2, sequence + 999, struct.pack("=i", -errno.EIO)))  # another's
            for each in answers:
                self.end.send(each)

    @staticmethod
    def packed(kind: int, sequence: int, body: bytes) -> bytes:
        return HEADER.pack(HEADER.size + len(body), kind, 0, sequence, 0) + body


@contextmanager
def kernel(**says: int) -> Iterator[tuple[KernelAudit, FakeKernel]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fake = FakeKernel(theirs, **says)  # type: ignore[arg-type]
    thread = threading.Thread(target=fake.serve, daemon=True)
    thread.start()
    with theirs:
        with closing(KernelAudit(ours)) as audit:
            yield audit, fake
        thread.join(patience(20))


@pytest.mark.parametrize("late_status", [0, 1])
def test_the_kernel_says_whether_records_are_kept(late_status: int) -> None:
    with kernel(enabled=1, late_status=late_status) as (audit, _):
        assert audit.enabled
    with kernel(enabled=0, late_status=late_status) as (audit, _):
        assert not audit.enabled


def test_a_record_has_its_fields_who_says_so_and_the_result_last() -> None:
    with kernel() as (audit, fake):
        audit.record(AuditKind.CONTROL, 'virt=lxc op=start vm="web" res=success')
    ((kind, text),) = fake.records
    assert (
        kind == 2500
        and text.startswith(b'virt=lxc op=start vm="web" exe="')
        and text.endswith(b'" hostname=? addr=? terminal=? res=success\0')
    )


def test_a_record_that_is_not_taken_is_an_error() -> None:
    with kernel(refusal=errno.EPERM) as (audit, _), pytest.raises(PermissionError):
        audit.record(AuditKind.RESOURCE, "virt=lxc res=failed")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("web", 'vm="web"'),
        ("", "vm=?"),
        ("a b", "vm=612062"),
        ('a" res=success x="', "vm=6122207265733D7375636365737320783D22"),
        ("a\nb", "vm=610A62"),
        ("a'b", "vm=612762"),
        ("é", "vm=C3A9"),
        ("a\udcffb", "vm=61FF62"),
    ],
)
def test_what_could_pass_for_another_field_is_told_in_hexadecimal(value: str, field: str) -> None:
    assert encoded("vm", value) == field


def test_the_result_stays_last() -> None:
    assert text_of("a=1 res=failed", 'exe="x"') == 'a=1 exe="x" hostname=? addr=? terminal=? res=failed'


@pytest.mark.requires("audit")
def test_this_hosts_kernel_says_whether_it_keeps_records() -> None:
    with closing(KernelAudit()) as audit:
        assert audit.enabled in (False, True)


@pytest.mark.parametrize("path", ["/" + "x" * 4095, "/" + "é" * 2047])
def test_a_record_is_never_so_long_that_the_kernel_drops_its_result(path: str) -> None:
    values = " ".join((encoded("vm", "ü" * 100), encoded("old-fs", path), encoded("new-fs", path)))
    assert len(text_of(f"virt=lxc resrc=fs {values} res=failed", encoded("exe", path))) <= 8560
    assert encoded("fs", "a" * 500 + "b" * 9 + "c" * 500) == f'fs="{"a" * 500}...{"c" * 500}"'
