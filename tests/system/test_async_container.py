"""`insula.AsyncContainer`, and what containers of one program share unless they are told otherwise."""

import asyncio
import signal
from pathlib import Path
from subprocess import PIPE

import pytest

from insula import AsyncContainer, Container, OperationInvalidError, OperationTimeoutError
from insula.engine.sharedengine import SHARED_ENGINE
from insula.layout import PREFIX_VARIABLE, Layout
from tests.leaks import is_gone
from tests.waiting import patience, until_heard

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sh", "-c", "trap 'exit 3' TERM; while :; do sleep 1000 & wait $!; done")


@pytest.mark.asyncio
async def test_containers_work_at_the_same_time_on_one_keeper(busybox_root: Path, tmp_path: Path) -> None:
    async def work(name: str) -> str:
        async with AsyncContainer(busybox_root, name=name, init=IDLE, ephemeral=True) as guest:
            source = tmp_path / name
            source.write_text(f"for {name}")
            await guest.put(source, "/tmp/file")
            assert (await guest.run(["cat", "/tmp/file"], text=True)).stdout == f"for {name}"
            return (await guest.run(["hostname"], text=True)).stdout.strip()

    assert await asyncio.gather(*map(work, "abcd")) == list("abcd")
    assert SHARED_ENGINE._engine is not None


@pytest.mark.asyncio
async def test_its_end_is_waited_for_by_the_loop(busybox_root: Path) -> None:
    async with AsyncContainer(busybox_root, init=IDLE, ephemeral=True) as guest:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await guest.wait()
        ended = asyncio.ensure_future(guest.wait())
        await asyncio.to_thread(until_heard, guest.pid, signal.SIGTERM)
        await guest.run(["kill", "-TERM", "1"])
        assert (await ended).code == 3
        assert (await guest.wait()).code == 3


@pytest.mark.asyncio
async def test_who_is_cancelled_leaves_no_program_behind(busybox_root: Path) -> None:
    async with AsyncContainer(busybox_root, init=IDLE, ephemeral=True) as guest:
        running = asyncio.ensure_future(guest.run(["sleep", "4321"]))
        async with asyncio.timeout(patience(20)):
            while b"4321" not in (await guest.run(["ps", "-o", "args"])).stdout:  # noqa: ASYNC110 - the guest tells nobody
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while b"4321" in (await guest.run(["ps", "-o", "args"])).stdout:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_program_inside_is_talked_to_line_by_line(busybox_root: Path) -> None:
    async with AsyncContainer(busybox_root, init=IDLE, ephemeral=True) as guest:
        async with await guest.popen(["cat"], stdin=PIPE, stdout=PIPE) as cat:
            assert cat.stdin is not None
            assert cat.stdout is not None
            cat.stdin.write(b"ping\n")
            assert await cat.stdout.readline() == b"ping\n"
        assert cat.returncode == 0


def test_a_guest_that_ends_for_want_of_memory_says_so_when_all_is_gone(busybox_root: Path) -> None:
    eater = "x=12345678; while :; do x=$x$x; done"
    guest = Container(busybox_root, init=["/bin/sh", "-c", eater], ephemeral=True, memory=16 << 20)
    guest.start()
    status = guest.wait(patience(60))
    assert status.out_of_memory
    assert str(status) == "killed for want of memory"
    assert guest.stats().oom_kills == status.oom_kills >= 1
    guest.destroy()
    assert guest.stats().memory is not None
    with pytest.raises(OperationInvalidError, match="does not run"):
        guest.limits()


def test_a_guest_that_is_killed_otherwise_is_not_out_of_memory(busybox_root: Path) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True) as guest:
        pass
    assert guest.status is not None
    assert not guest.status.out_of_memory
    assert str(guest.status) == "killed by SIGKILL"


def test_containers_one_after_the_other_share_a_keeper_that_is_replaced_when_it_dies(busybox_root: Path) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True):
        first = SHARED_ENGINE.get()
    with Container(busybox_root, init=IDLE, ephemeral=True):
        assert SHARED_ENGINE.get() is first
    first._keeper.kill()
    first._keeper.wait()
    with Container(busybox_root, init=IDLE, ephemeral=True) as guest:
        assert SHARED_ENGINE.get() is not first
        pid = guest.pid
    assert is_gone(pid)


def test_an_image_is_found_by_its_name_and_left_alone(
    busybox_root: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX_VARIABLE, str(scratch))
    layout = Layout.prefix(scratch)
    layout.image_root("small").parent.mkdir(parents=True)
    busybox_root.rename(layout.image_root("small"))
    layout.image_description("small").write_text("{}")
    with Container(image="small", init=IDLE) as guest:
        guest.run(["touch", "/written"], check=True)
        assert guest.run(["ls", "/written"]).returncode == 0
    assert not (layout.image_root("small") / "written").exists()


def test_texts_go_in_and_come_out(busybox_root: Path) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True) as guest:
        done = guest.run(["sh", "-c", "cat; echo grüße >&2"], input="größe", text=True)
        assert (done.stdout, done.stderr) == ("größe", "grüße\n")
        with guest.popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as cat:
            assert cat.communicate("zeile\n") == ("zeile\n", "")
        with pytest.raises(OperationTimeoutError):
            guest.run(["sleep", "1000"], text=True, timeout=0.05)
