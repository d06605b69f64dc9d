"""Questions about groups of v1, in the kernel's own words."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula.kernel.taskstats import CgroupStats, TaskStates
from tests.waiting import scaled

Answer = Callable[[bytes, int], bytes]


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, sequence: int, content: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(content), kind, 0, sequence, 0) + content


def generic(kind: int, sequence: int, *attributes: bytes) -> bytes:
    return message(kind, sequence, struct.pack("=BBH", 0, 1, 0) + b"".join(attributes))


@contextmanager
def kernel(monkeypatch: pytest.MonkeyPatch, *answers: list[Answer]) -> Iterator[list[bytes]]:
    """A kernel that gives each question these answers."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    asked: list[bytes] = []

    def serve() -> None:
        for each in answers:
            question = its.recv(8192)
            asked.append(question)
            (sequence,) = struct.unpack_from("=I", question, 8)
            for answer in each:
                its.send(answer(question, sequence))

    thread = threading.Thread(target=serve)
    thread.start()
    with monkeypatch.context() as patch:
        patch.setattr("insula.kernel.taskstats.socket.socket", lambda *arguments: ours)
        yield asked
    thread.join(scaled(10))
    its.close()


def family(question: bytes, sequence: int) -> bytes:
    return generic(16, sequence, attribute(2, b"TASKSTATS\0"), attribute(1, struct.pack("=H", 23)))


def counts(question: bytes, sequence: int) -> bytes:
    return generic(23, sequence, attribute(1, struct.pack("=5Q", 30, 4, 1, 2, 3)))


def test_a_groups_tasks_are_told_by_what_they_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with kernel(monkeypatch, [family], [counts]) as asked:
        stats = CgroupStats()
        states = stats.states(str(tmp_path))
        stats.close()
    assert states == TaskStates(running=4, waiting=5, total=40)
    assert struct.unpack_from("=H", asked[1], 4) == (23,)


def test_an_answer_to_an_earlier_question_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def late(question: bytes, sequence: int) -> bytes:
        return generic(23, sequence - 1, attribute(1, struct.pack("=5Q", 9, 9, 9, 9, 9)))

    with kernel(monkeypatch, [family], [late, counts]):
        stats = CgroupStats()
        assert stats.states(str(tmp_path)).running == 4
        stats.close()


def test_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(question: bytes, sequence: int) -> bytes:
        return message(2, sequence, struct.pack("=i", -2) + bytes(16))

    with kernel(monkeypatch, [refusal]), pytest.raises(FileNotFoundError):
        CgroupStats()
