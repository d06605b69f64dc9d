"""What programs do that the spawner's children play, each of the format's words by hand-packed images.

What a test asserts of results was sent by the program itself, with all of its image.
"""

import errno
import os
import resource
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.keeper.spawner import Order
from insula.kernel.fds import Fd, memory_file
from insula.kernel.process import CloneFlag
from tests.handpacked import (
    AGAIN,
    CHANNEL,
    COMPARE,
    EXACT,
    HEADER_SIZE,
    PARENT_SKIPS,
    STORE,
    WHATEVER,
    Packed,
    image,
    loaded,
    pointer,
    result,
    results,
)
from tests.spawning import Spawned, SpawnerAlone
from tests.waiting import until

AT_FDCWD = -100
BAD_FD = 9999


@pytest.fixture(scope="module")
def alone() -> Iterator[SpawnerAlone]:
    made = SpawnerAlone()
    yield made
    made.close()


def played(alone: SpawnerAlone, program: Packed) -> bytes:
    """Play a program, which shows itself; return its image as it was then."""
    program.show()
    program.end(0)
    spawned = alone.order(program.encoded()).began()
    shown = spawned.raw()
    assert spawned.status() == 0
    return shown


def failure(alone: SpawnerAlone, program: Packed | bytes) -> tuple[int, int]:
    """Play a program that fails; return the record's index and the errno that it said."""
    encoded = program if isinstance(program, bytes) else program.encoded()
    spawned = alone.order(encoded).began()
    said = spawned.hear()
    assert said is not None and set(said) == {"failed", "errno"}
    assert spawned.status() == 127
    assert spawned.hear() is None
    return said["failed"], said["errno"]


def word(shown: bytes, offset: int) -> int:
    (value,) = struct.unpack_from("<i", shown, Packed.DATA_AT + offset)
    return int(value)


# Arguments


def test_an_argument_is_a_value_an_address_an_earlier_result_or_a_number_that_was_stored(alone: SpawnerAlone) -> None:
    program = Packed()
    path, room, stored = program.put(b"/dev/zero\0"), program.put(b"\xff" * 16), program.put(struct.pack("<i", 5))
    opened = program.call("openat", AT_FDCWD, pointer(path), os.O_RDONLY, 0)
    program.call("read", result(opened), pointer(room), loaded(stored))
    shown = played(alone, program)
    fd, count = results(shown, 2)
    assert fd > 66 and count == 5
    assert shown[Packed.DATA_AT + room :][:16] == bytes(5) + b"\xff" * 11


def test_a_stored_number_has_a_sign(alone: SpawnerAlone) -> None:
    program = Packed()
    directory, path = program.put(struct.pack("<i", AT_FDCWD)), program.put(b"/dev/null\0")
    program.call("openat", loaded(directory), pointer(path), os.O_RDONLY, 0)
    assert results(played(alone, program), 1)[0] > 66


def test_all_six_arguments_arrive(alone: SpawnerAlone) -> None:
    """mmap(2) of a page of the program's own image, behind its beginning."""
    number = {"x86_64": 9, "aarch64": 222}[os.uname().machine]
    program = Packed()
    content = program.put(b"/dev/zero\0")
    opened = program.call("openat", AT_FDCWD, pointer(content), os.O_RDONLY, 0)
    mapped = program.call(number, 0, 4096, 1, 2, result(opened), 4096, flags=WHATEVER)
    kept = program.put(bytes(8))
    program.call(STORE, pointer(kept), result(mapped))
    shown = played(alone, program)
    assert results(shown, 2)[1] % 4096 == 0
    assert word(shown, kept) & 0xFFFFFFFF == results(shown, 2)[1] & 0xFFFFFFFF


def test_addresses_within_data_are_relocated_once_before_the_first_record(alone: SpawnerAlone) -> None:
    program = Packed()
    text = program.put(b"vector")
    vector = program.put(struct.pack("<QQ", 0, 6))
    message = program.put(struct.pack("<7Q", 0, 0, 0, 1, 0, 0, 0))
    program.relocate(vector, text)
    program.relocate(message + 16, vector)
    program.call(
        {"x86_64": 46, "aarch64": 211}[os.uname().machine], CHANNEL, pointer(message), 0, flags=EXACT, wanted=6
    )
    program.end(0)
    spawned = alone.order(program.encoded()).began()
    assert spawned.raw() == b"vector"
    assert spawned.status() == 0


# What counts as success


@pytest.mark.parametrize(
    ("flags", "wanted", "good"),
    [(0, 0, True), (EXACT, 5, True), (EXACT, 4, False), (EXACT, -1, False), (WHATEVER, 0, True)],
)
def test_a_result_that_is_not_negative_succeeds_unless_another_is_wanted(
    alone: SpawnerAlone, flags: int, wanted: int, good: bool
) -> None:
    program = Packed()
    program.call("write", CHANNEL, pointer(program.put(b"12345")), 5, flags=flags, wanted=wanted)
    program.end(0)
    spawned = alone.order(program.encoded()).began()
    assert spawned.raw() == b"12345"
    assert spawned.hear() == (None if good else {"failed": 0, "errno": 0})
    assert spawned.status() == (0 if good else 127)


@pytest.mark.parametrize(
    ("flags", "wanted", "good"),
    [(0, 0, False), (EXACT, -errno.EBADF, True), (EXACT, 0, False), (WHATEVER, 0, True)],
)
def test_an_error_fails_unless_it_is_wanted(alone: SpawnerAlone, flags: int, wanted: int, good: bool) -> None:
    program = Packed()
    program.say(b"first")
    program.call("close", BAD_FD, flags=flags, wanted=wanted)
    program.end(5)
    spawned = alone.order(program.encoded()).began()
    assert spawned.raw() == b"first"
    assert spawned.hear() == (None if good else {"failed": 1, "errno": errno.EBADF})
    assert spawned.status() == (5 if good else 127)


def test_the_first_failure_ends_it(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("openat", AT_FDCWD, pointer(program.put(b"/not/there\0")), 0, 0)
    program.say(b"never said")
    assert failure(alone, program) == (0, errno.ENOENT)


def test_a_program_that_executes_nothing_fails_behind_its_last_record(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("getpid")
    assert failure(alone, program) == (-1, errno.EIO)


# Skips


@pytest.mark.parametrize(("path", "skips"), [(b"/not/there\0", True), (b"/dev/null\0", False)])
def test_one_named_error_skips_records(alone: SpawnerAlone, path: bytes, skips: bool) -> None:
    program = Packed()
    program.call("openat", AT_FDCWD, pointer(program.put(path)), os.O_RDONLY, 0, errno=errno.ENOENT, skip=2)
    program.call("getpid")
    program.call("getpid")
    program.call("getppid", flags=WHATEVER)
    shown = played(alone, program)
    opened, first, second, _ = results(shown, 4)
    assert (opened == -errno.ENOENT) is skips
    assert (first == 0, second == 0) == (skips, skips)


def test_another_error_than_the_named_one_fails(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("openat", AT_FDCWD, pointer(program.put(b"/dev/null/x\0")), 0, 0, errno=errno.ENOENT, skip=1)
    program.end(0)
    assert failure(alone, program) == (0, errno.ENOTDIR)


def test_a_named_error_goes_before_what_is_wanted_and_may_skip_nothing(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("close", BAD_FD, flags=EXACT, wanted=0, errno=errno.EBADF)
    program.call("getpid")
    assert results(played(alone, program), 2)[1] > 0


def test_a_skip_to_the_end_is_the_end(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("close", BAD_FD, errno=errno.EBADF, skip=1000)
    program.end(0)
    assert failure(alone, program) == (-1, errno.EIO)


def test_behind_a_clone_the_parent_skips_and_the_child_goes_on(alone: SpawnerAlone) -> None:
    program = Packed()
    arguments = program.put(struct.pack("<11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0))
    child = program.call("clone3", pointer(arguments), 88, flags=PARENT_SKIPS, skip=2)
    program.say(b"child")
    program.end(4)
    status = program.put(bytes(8))
    program.call("wait4", result(child), pointer(status), 0x40000000, 0)
    program.show()
    program.end(0)
    spawned = alone.order(program.encoded()).began()
    assert spawned.raw() == b"child"
    shown = spawned.raw()
    assert results(shown, 1)[0] > 0
    assert word(shown, status) == 4 << 8
    assert spawned.status() == 0


def test_a_failure_in_a_child_of_the_program_is_said_too(alone: SpawnerAlone) -> None:
    program = Packed()
    arguments = program.put(struct.pack("<11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0))
    child = program.call("clone3", pointer(arguments), 88, flags=PARENT_SKIPS, skip=1)
    program.call("close", BAD_FD)
    status = program.put(bytes(8))
    program.call("wait4", result(child), pointer(status), 0x40000000, 0)
    program.call(COMPARE, pointer(status), 0xFFFFFFFF, 0)
    spawned = alone.order(program.encoded()).began()
    assert [spawned.hear(), spawned.hear()] == [
        {"failed": 1, "errno": errno.EBADF},
        {"failed": 3, "errno": errno.EPERM},
    ]
    assert spawned.status() == 127


# Pseudo-calls


@pytest.mark.parametrize(
    ("mask", "value", "equal"),
    [
        (0xFFFFFFFF, 0x80000001, True),
        (0xFFFFFFFF, 0x00000001, False),
        (0x7FFFFFFF, 0x00000001, True),
        (0x80000000, 0x80000000, True),
        (0, 0, True),
        (0xF, 0x2, False),
    ],
)
def test_four_bytes_are_compared_under_a_mask(alone: SpawnerAlone, mask: int, value: int, equal: bool) -> None:
    program = Packed()
    room = program.put(struct.pack("<II", 0x80000001, 0xFFFFFFFF))
    program.call(COMPARE, pointer(room), mask, value, flags=WHATEVER)
    assert results(played(alone, program), 1) == [0 if equal else -errno.EPERM]


def test_a_comparison_fails_or_skips_like_any_call(alone: SpawnerAlone) -> None:
    program = Packed()
    room = program.put(struct.pack("<I", 7))
    program.call(COMPARE, pointer(room), 0xFFFFFFFF, 8, errno=errno.EPERM, skip=1)
    program.end(1)
    program.call(COMPARE, pointer(room), 0xFFFFFFFF, 8)
    assert failure(alone, program) == (2, errno.EPERM)


def test_a_number_is_stored_in_four_bytes(alone: SpawnerAlone) -> None:
    program = Packed()
    room = program.put(b"\xaa" * 12)
    program.call("close", BAD_FD, flags=WHATEVER)
    program.call(STORE, pointer(room + 4), result(0))
    shown = played(alone, program)
    assert word(shown, room + 4) == -errno.EBADF
    assert shown[Packed.DATA_AT + room :][:4] == shown[Packed.DATA_AT + room + 8 :][:4] == b"\xaa" * 4
    assert results(shown, 2)[1] == 0


# Attempts


def reading_what_is_not_there(flags: int) -> tuple[Packed, int]:
    """A program that reads from descriptor 0 of a message, which is empty and does not wait."""
    program = Packed()
    vector = program.put(struct.pack("<QQ", 0, 1))
    program.relocate(vector, program.put(bytes(8)))
    control = program.put(bytes(24))
    message = program.put(struct.pack("<7Q", 0, 0, 0, 1, 0, 24, 0))
    program.relocate(message + 16, vector)
    program.relocate(message + 32, control)
    program.call("recvmsg", CHANNEL, pointer(message), 0, flags=EXACT, wanted=1)
    read = program.call("read", loaded(control + 16), pointer(program.put(bytes(8))), 1, flags=flags)
    return program, read


@pytest.mark.parametrize(("flags", "attempts"), [(0, 1), (AGAIN, 100)])
def test_a_call_is_tried_again_only_if_its_record_says_so_and_not_for_ever(
    alone: SpawnerAlone, flags: int, attempts: int
) -> None:
    """Each attempt is a read call of the process: proc(5), /proc/PID/io, syscr."""
    program, read = reading_what_is_not_there(flags)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    spawned = alone.order(program.encoded()).began()
    before = reads_of(spawned.pid)
    spawned.hand({"pipe": reader})
    assert spawned.hear() == {"failed": read, "errno": errno.EAGAIN}
    assert reads_when_ended(spawned) - before == attempts
    spawned.status()
    for fd in (reader, writer):
        os.close(fd)


def reads_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("syscr")).split()[1])


def reads_when_ended(spawned: Spawned) -> int:
    os.waitid(os.P_PIDFD, spawned.pidfd, os.WEXITED | os.WNOWAIT)
    return reads_of(spawned.pid)


def test_a_call_that_is_tried_again_goes_on_once_it_succeeds(alone: SpawnerAlone) -> None:
    program, read = reading_what_is_not_there(AGAIN)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    os.write(writer, b"x")
    program.show()
    program.end(0)
    spawned = alone.order(program.encoded()).began()
    spawned.hand({"pipe": reader})
    assert results(spawned.raw(), read + 1)[read] == 1
    for fd in (reader, writer):
        os.close(fd)


# The image


def test_the_record_being_played_and_the_channel_are_told_in_the_image(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("getpid")
    shown = played(alone, program)
    at, channel = struct.unpack_from("<ii", shown, 28)
    assert (at, channel > 66) == (1, True)


def test_a_program_may_change_its_channel(alone: SpawnerAlone) -> None:
    program = Packed()
    duplicated = program.call({"x86_64": 32, "aarch64": 23}[os.uname().machine], CHANNEL)
    program.call("close", CHANNEL)
    program.call(STORE, image(32), result(duplicated))
    program.say(b"on the other")
    program.call("close", BAD_FD)
    spawned = alone.order(program.encoded()).began()
    assert spawned.raw() == b"on the other"
    assert spawned.hear() == {"failed": 4, "errno": errno.EBADF}


def test_an_image_is_not_changed_by_being_played(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call(STORE, pointer(program.put(bytes(8))), 1)
    program.end(0)
    content = program.encoded()
    file = memory_file("image", content)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Fd(theirs.fileno())
    alone.spawner.give(Order(flags=CloneFlag.NOTHING, limits=(1024, 1024), image=file, channel=channel))
    theirs.close()
    spawned = Spawned(ours).began()
    assert spawned.status() == 0
    assert os.pread(file, len(content) + 1, 0) == content
    os.close(file)
    spawned.close()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * HEADER_SIZE,
        b"short",
        Packed(magic=b"INSULAP\x02").encoded(),
        Packed().encoded() + b"more",
        Packed().encoded()[:-1],
    ],
    ids=["empty", "zeros", "short", "of another version", "longer than it says", "cut"],
)
def test_what_is_no_image_is_not_played(alone: SpawnerAlone, broken: bytes) -> None:
    assert failure(alone, broken) == (-1, errno.EIO)


# What the process is


def test_it_has_nothing_but_its_channel(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("read", CHANNEL, pointer(program.put(bytes(8))), 8, flags=EXACT, wanted=1)
    program.end(0)
    spawned = alone.order(program.encoded()).began()
    of = Path(f"/proc/{spawned.pid}")
    _until_waiting(of)
    fds = {int(number): os.readlink(of / "fd" / number) for number in os.listdir(of / "fd")}
    (channel,) = (number for number, name in fds.items() if name != "/dev/null")
    assert fds[channel].startswith("socket:") and channel > 66
    assert set(fds) == {*range(67), channel}
    assert _closes_on_exec(of) == {*range(3, 67), channel}
    status = dict(line.split(":\t", 1) for line in (of / "status").read_text().splitlines())
    assert [int(status[kind], 16) for kind in ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd")] == [0] * 5
    assert (of / "environ").read_bytes() == b""
    spawned.hand()
    assert spawned.status() == 0


def _until_waiting(of: Path) -> None:
    until(lambda: (of / "syscall").read_text().split()[0] in ("0", "63"), "its waiting")


def _closes_on_exec(of: Path) -> set[int]:
    closing = set()
    for number in os.listdir(of / "fd"):
        flags = next(line for line in (of / "fdinfo" / number).read_text().splitlines() if line.startswith("flags"))
        if int(flags.split()[1], 8) & os.O_CLOEXEC:
            closing.add(int(number))
    return closing


def test_it_has_the_limits_of_descriptors_that_were_ordered(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("read", CHANNEL, pointer(program.put(bytes(8))), 8)
    spawned = alone.order(program.encoded(), limits=(80, 81)).began()
    _until_waiting(Path(f"/proc/{spawned.pid}"))
    assert resource.prlimit(spawned.pid, resource.RLIMIT_NOFILE) == (80, 81)
    spawned.kill()


def test_it_becomes_the_program_that_it_executes(alone: SpawnerAlone) -> None:
    """Which is no more a process of ours: the channel ends, it can be dumped, and it has its streams alone."""
    program = Packed()
    path = program.put(b"/bin/sleep\0")
    argument = program.put(b"1000\0")
    words = program.put(struct.pack("<3Q", 0, 0, 0))
    program.relocate(words, path)
    program.relocate(words + 8, argument)
    program.call("execve", pointer(path), pointer(words), pointer(words + 16))
    spawned = alone.order(program.encoded()).began()
    assert spawned.hear() is None
    of = Path(f"/proc/{spawned.pid}")
    assert (of / "cmdline").read_bytes() == b"/bin/sleep\x001000\0"
    until(lambda: sorted(os.listdir(of / "fd")) == ["0", "1", "2"], "its loader having closed what it read")
    assert spawned.kill() == -signal.SIGKILL


def test_it_does_not_die_of_the_spawners_death(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("read", CHANNEL, pointer(program.put(bytes(8))), 8, flags=EXACT, wanted=1)
    program.end(6)
    spawned = alone.order(program.encoded()).began()
    first = alone.spawner.pid
    os.kill(first, signal.SIGKILL)
    alone.turn_until(lambda: alone.spawner.pid != first, "another")
    spawned.hand()
    assert spawned.status() == 6


def test_it_cannot_be_dumped(alone: SpawnerAlone) -> None:
    program = Packed()
    program.call("prctl", 3, flags=WHATEVER)
    assert results(played(alone, program), 1) == [0]


def test_hundreds_are_cloned_one_after_the_other(alone: SpawnerAlone) -> None:
    program = Packed()
    program.end(3)
    encoded = program.encoded()
    spawned = [alone.order(encoded) for _ in range(300)]
    assert {each.began().status() for each in spawned} == {3}
    assert len({each.pid for each in spawned}) == 300
    for each in spawned:
        each.close()
