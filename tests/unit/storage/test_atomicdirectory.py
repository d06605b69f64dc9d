"""Directories that are whole or not there, whoever dies."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from insula.errors import ImageExistsError, ResourceBusyError
from insula.storage.atomicdirectory import AtomicDirectory, to_the_end


@pytest.fixture
def workshop(tmp_path: Path) -> AtomicDirectory:
    return AtomicDirectory(tmp_path / "shop")


def hidden(workshop: AtomicDirectory) -> list[str]:
    return sorted(name for name in os.listdir(workshop.directory) if name.startswith(".") and name != ".lock")


async def make(workshop: AtomicDirectory, name: str) -> None:
    async with workshop.claim(name) as (directory, _lock):
        (directory / "content").write_text(name)
        assert workshop.names() == []
        workshop.publish(directory, name)


def test_a_name_appears_when_it_is_published(workshop: AtomicDirectory) -> None:
    asyncio.run(make(workshop, "one"))
    assert workshop.names() == ["one"]
    assert (workshop.directory / "one/content").read_text() == "one"
    assert hidden(workshop) == []


def test_nobody_else_can_look_in(workshop: AtomicDirectory) -> None:
    asyncio.run(make(workshop, "one"))
    assert workshop.directory.stat().st_mode & 0o077 == 0
    assert (workshop.directory / "one").stat().st_mode & 0o077 == 0


def test_what_was_not_published_is_gone(workshop: AtomicDirectory) -> None:
    async def give_up() -> None:
        async with workshop.claim("one") as (directory, _lock):
            (directory / "content").write_text("half")
            raise LookupError("failed")

    with pytest.raises(LookupError):
        asyncio.run(give_up())
    assert workshop.names() == hidden(workshop) == []


def test_a_cancelled_task_leaves_nothing(workshop: AtomicDirectory) -> None:
    async def cancelled() -> None:
        begun = asyncio.Event()

        async def work() -> None:
            async with workshop.claim("one") as (directory, _lock):
                (directory / "content").write_text("half")
                begun.set()
                await asyncio.sleep(1000)

        task = asyncio.create_task(work())
        await begun.wait()
        assert hidden(workshop) == [".building-one"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert hidden(workshop) == []

    asyncio.run(cancelled())


def test_a_taken_name_is_refused(workshop: AtomicDirectory) -> None:
    asyncio.run(make(workshop, "one"))
    with pytest.raises(ImageExistsError, match="'one' exists"):
        asyncio.run(make(workshop, "one"))
    assert (workshop.directory / "one/content").exists()


def test_two_makers_of_one_name_do_not_meet(workshop: AtomicDirectory) -> None:
    async def both() -> None:
        async with workshop.claim("one"):
            with pytest.raises(ResourceBusyError, match="'one' is being built"):
                await make(workshop, "one")
            await make(workshop, "two")

    asyncio.run(both())
    assert workshop.names() == ["two"]


DIE_AT_WORK = """
import asyncio, os, pathlib, sys
from insula.storage.atomicdirectory import AtomicDirectory
async def main():
    async with AtomicDirectory(pathlib.Path(sys.argv[1])).claim("one") as (directory, lock):
        (directory / "content").write_text("half")
        if sys.argv[2] == "heir":
            os.set_inheritable(lock, True)
            os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "echo $$ >&2; exec sleep 1000")
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""


def die_at_work(workshop: AtomicDirectory, manner: str = "alone") -> int | None:
    """Have a process die in the middle; return the pid of the process that outlives it."""
    process = subprocess.Popen(
        [sys.executable, "-c", DIE_AT_WORK, str(workshop.directory), manner], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        heir = int(process.stderr.readline()) if manner == "heir" else None
    process.wait()
    return heir


def test_what_a_dead_maker_left_is_swept(workshop: AtomicDirectory) -> None:
    die_at_work(workshop)
    assert hidden(workshop) == [".building-one"]
    assert workshop.names() == []
    assert workshop.sweep() == [".building-one"]
    assert hidden(workshop) == []


def test_the_next_maker_does_not_mind_a_dead_one(workshop: AtomicDirectory) -> None:
    die_at_work(workshop)
    asyncio.run(make(workshop, "one"))
    assert workshop.names() == ["one"]
    assert hidden(workshop) == []


def test_as_long_as_a_program_of_the_dead_maker_lives_its_directory_is_left_alone(workshop: AtomicDirectory) -> None:
    heir = die_at_work(workshop, "heir")
    assert heir is not None
    handle = os.pidfd_open(heir)
    try:
        assert workshop.sweep() == []
        with pytest.raises(ResourceBusyError):
            asyncio.run(make(workshop, "one"))
    finally:
        os.kill(heir, 9)
        os.close(handle)


def test_a_living_makers_work_is_not_swept(workshop: AtomicDirectory) -> None:
    async def sweep_meanwhile() -> None:
        async with workshop.claim("one") as (directory, _lock):
            assert workshop.sweep() == []
            assert directory.exists()

    asyncio.run(sweep_meanwhile())


def test_a_withdrawn_name_is_gone_at_once_and_its_files_when_discarded(workshop: AtomicDirectory) -> None:
    asyncio.run(make(workshop, "one"))
    with workshop.locked():
        left = workshop.withdraw("one")
    assert workshop.names() == []
    assert hidden(workshop) == [left]
    workshop.discard(left)
    assert hidden(workshop) == []


def test_an_interrupted_removal_is_finished_by_a_sweep(workshop: AtomicDirectory) -> None:
    asyncio.run(make(workshop, "one"))
    with workshop.locked():
        left = workshop.withdraw("one")
    assert workshop.sweep() == [left]
    assert hidden(workshop) == []


def test_withdrawing_what_is_not_there_is_an_error(workshop: AtomicDirectory) -> None:
    with workshop.locked(), pytest.raises(FileNotFoundError):
        workshop.withdraw("one")


def test_a_workshop_that_was_never_used_is_empty(workshop: AtomicDirectory) -> None:
    assert workshop.names() == []
    assert workshop.sweep() == []


def test_work_is_waited_for_even_when_cancelled() -> None:
    done: list[str] = []

    async def slow() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        done.append("yes")

    async def main() -> None:
        task = asyncio.create_task(to_the_end(slow()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["yes"]

    asyncio.run(main())
