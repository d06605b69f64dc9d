"""The words of FUSE, against bytes laid out by hand from linux/fuse.h."""

import stat
import struct

import pytest

from insula.kernel import fuse
from insula.kernel.fuse import FuseVerb, NodeAttributes


def request(opcode: int, body: bytes, *, unique: int = 7, node: int = 1) -> bytes:
    return struct.pack("<IIQQIIIHH", 40 + len(body), opcode, unique, node, 1000, 1001, 4711, 0, 0) + body


def test_a_request_tells_who_asks_what_about_which_node() -> None:
    read = fuse.parsed(request(FuseVerb.LOOKUP, b"meminfo\0") + b"what was in the buffer before")
    assert read == (1, 7, 1, 1000, 1001, 4711, b"meminfo\0")


def test_a_cut_request_is_none() -> None:
    with pytest.raises(struct.error):
        fuse.parsed(b"short")


def test_answers_and_failures_name_the_request() -> None:
    assert fuse.answer(7, b"abc") == struct.pack("<IiQ", 19, 0, 7) + b"abc"
    assert fuse.failure(7, 2) == struct.pack("<IiQ", 16, -2, 7)
    assert fuse.poll_wake(9) == struct.pack("<IiQQ", 24, 1, 0, 9)


def test_init_agrees_on_what_both_know() -> None:
    answered = fuse.init_answer(struct.pack("<IIII", 7, 40, 4096, 0xFFFFFFFF))
    assert len(answered) == 64
    assert struct.unpack_from("<IIII", answered) == (7, 31, 4096, 1 << 3 | 1 << 18)


def test_a_kernel_that_speaks_an_older_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match=r"7\.30"):
        fuse.init_answer(struct.pack("<IIII", 7, 30, 4096, 0))


def test_nodes_are_described_as_the_kernel_lays_them_out() -> None:
    file = NodeAttributes(99, stat.S_IFREG | 0o444, 4096, 5, 6)
    entry = fuse.entry_answer(file, 3)
    assert len(entry) == 40 + 88
    assert struct.unpack_from("<QQQQ", entry) == (99, 0, 3, 3)
    assert struct.unpack_from("<QQ", entry, 40) == (99, 4096)
    assert struct.unpack_from("<IIII", entry, 40 + 60) == (stat.S_IFREG | 0o444, 1, 5, 6)
    assert len(fuse.attributes_answer(file, 1)) == 16 + 88


def test_reads_writes_and_polls_come_apart() -> None:
    assert fuse.read_request(struct.pack("<QQIIQII", 3, 100, 50, 0, 0, 2048, 0)) == (3, 100, 50, 2048)
    written = struct.pack("<QQIIQII", 3, 100, 2, 0, 0, 0, 0) + b"abXX"
    assert fuse.write_request(written) == (3, 100, b"ab")
    assert fuse.lseek_request(struct.pack("<QQII", 3, 4, 2, 0)) == (3, 4, 2)
    assert fuse.poll_request(struct.pack("<QQII", 3, 8, 1, 1)) == (3, 8, True)
    assert fuse.open_flags(struct.pack("<II", 1, 0)) == 1
    assert fuse.first_number(struct.pack("<QQ", 12, 13)) == 12


def test_small_answers_have_the_sizes_of_the_kernels_structures() -> None:
    assert fuse.open_answer(5, direct=True) == struct.pack("<QII", 5, 1, 0)
    assert fuse.write_answer(3) == struct.pack("<II", 3, 0)
    assert fuse.lseek_answer(3) == struct.pack("<Q", 3)
    assert fuse.poll_answer(1) == struct.pack("<II", 1, 0)
    assert len(fuse.statfs_answer()) == 80


def test_entries_of_directories_are_padded_to_eight_bytes() -> None:
    entry = fuse.directory_entry(9, 3, b"cpu", stat.S_IFDIR)
    assert entry == struct.pack("<QQII", 9, 3, 3, 4) + b"cpu" + bytes(5)


def test_a_host_without_the_device_has_no_fuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuse, "DEVICE", "/dev/there-is-none")
    assert not fuse.is_there()
    monkeypatch.setattr(fuse, "DEVICE", "/dev/null")
    assert fuse.is_there()
