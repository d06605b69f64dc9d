"""A process is looked at by its directory: what it is, its threads' registers, and its memory."""

import os
from pathlib import Path

import pytest

from insula.engine.dump.guesttracer import GuestTracer
from insula.engine.dump.processcore import ProcessDirectory
from insula.kernel.ptrace import RegisterSet
from tests.unit.engine.dump.dumped import LEADERLESS, REMEMBERED, group_of, running
from tests.waiting import until


def test_a_process_that_stands_still_is_known_with_all_registers_and_its_memory(tmp_path: Path) -> None:
    with running() as process:
        tracer = GuestTracer(group_of(tmp_path, process.pid))
        tracer.stop_all()
        directory, written = ProcessDirectory(process.pid), bytearray()
        core = directory.core(tracer.stopped(process.pid))
        assert core is not None
        assert directory.write_memory(core, written.extend) == 0
        tracer.release_all()
        directory.close()
    assert core.state.pid == process.pid and len(core.state.threads) == 4 == core.known
    assert all(RegisterSet.GENERAL in each.registers for each in core.state.threads)
    assert len(written) == core.memory and core.size == len(core.head()) + core.memory
    assert REMEMBERED in written


def test_of_a_thread_that_cannot_be_stopped_two_registers_are_known(tmp_path: Path) -> None:
    with running() as process:
        directory = ProcessDirectory(process.pid)

        def known() -> bool:
            """Once the thread waits for something."""
            core = directory.core({process.pid: None})
            assert core is not None and core.known == 0
            (thread,) = core.state.threads
            return any(thread.registers[RegisterSet.GENERAL])

        until(known, "two registers of a thread that waits")
        directory.close()


def test_one_that_has_ended_is_none_although_its_number_is_anothers() -> None:
    with running() as process:
        directory = ProcessDirectory(process.pid)
    with pytest.raises((ProcessLookupError, FileNotFoundError)):
        directory.core({process.pid: None})
    directory.close()
    with pytest.raises(FileNotFoundError):
        ProcessDirectory(process.pid)


@pytest.mark.parametrize(("level", "known_as"), [(1, 4711), (2, 12), (3, 1), (9, 1)])
def test_a_process_of_a_guests_own_guest_has_the_number_that_the_guest_knows(level: int, known_as: int) -> None:
    directory = ProcessDirectory(os.getpid(), level=level)
    assert directory._inside({"Pid": "4711", "NSpid": "4711\t12\t1"}) == known_as
    directory.close()


def test_a_process_whose_first_thread_has_ended_has_its_memory_all_the_same(tmp_path: Path) -> None:
    with running(LEADERLESS) as process:
        status = Path(f"/proc/{process.pid}/stat")
        until(lambda: status.read_text().rpartition(")")[2].split()[0] == "Z", "its first thread's end")
        tracer = GuestTracer(group_of(tmp_path, process.pid))
        tracer.stop_all()
        directory, written = ProcessDirectory(process.pid), bytearray()
        core = directory.core(tracer.stopped(process.pid))
        assert core is not None and directory.write_memory(core, written.extend) == 0
        tracer.release_all()
        directory.close()
    assert REMEMBERED in written and core.state.arguments and core.known == 1


def test_what_is_counted_beforehand_is_about_what_is_written() -> None:
    directory = ProcessDirectory(os.getpid())
    assert directory.resident() > 1 << 20
    directory.close()
