"""Tests of insula.engine.steps.host.imagedevices, over loop devices that are only pretended."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.launch.holdings import LoopDevice
from insula.engine.spec import Device, DeviceKind
from insula.engine.steps.host import imagedevices
from insula.engine.steps.host.devicetree import DeviceNode, with_numbers
from insula.engine.steps.host.hoststep import Makings
from insula.engine.steps.host.imagedevices import attachments, numbered
from insula.kernel.cgroups import DeviceRule
from insula.kernel.fds import Fd
from tests.unit.engine.fakes import null
from tests.unit.engine.fragments.example import SPEC
from tests.unit.engine.steps.host.sites import context, perform

IMAGE = Device(kind=DeviceKind.BLOCK, major=0, minor=0, host="", guest="vda", access="rm", image="/srv/disk")
NODE = DeviceNode(name="vda", kind="b", major=0, minor=0, mode=0o660, uid=0, gid=0)


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, bool, str | None]]:
    """What loop devices were asked for: of which file, read-only or not, with which mark."""
    asked: list[tuple[str, bool, str | None]] = []

    def made(path: str, *, read_only: bool, mark: str | None = None) -> tuple[Fd, str]:
        asked.append((path, read_only, mark))
        return null(), "/dev/null"

    monkeypatch.setattr(imagedevices, "loop_device", made)
    return asked


def test_an_image_has_the_numbers_of_its_loop_device_from_then_on(marks: list[tuple[str, bool, str | None]]) -> None:
    (step,) = attachments(IMAGE)
    at = context()
    assert step.announce(1) == (LoopDevice(guest="vda", made=False),)
    assert perform(step, at) == (LoopDevice(guest="vda"),)
    assert marks == [("/srv/disk", True, f"insula:{at.launch}:vda")]
    assert at.images == {"vda": DeviceRule(kind="b", major=1, minor=3, access="rm")}
    assert with_numbers(NODE, at) == replace(NODE, major=1, minor=3)
    assert with_numbers(replace(NODE, name="vdb"), at) == replace(NODE, name="vdb")
    other = replace(IMAGE, guest="vdb")
    assert numbered(replace(SPEC, devices=(IMAGE, other)), at).devices == (replace(IMAGE, major=1, minor=3), other)
    assert numbered(SPEC, context()) is SPEC
    assert attachments(replace(IMAGE, image=None)) == []


def test_an_image_that_is_attached_when_nobody_waits_for_it_any_more_is_let_go_of(
    marks: list[tuple[str, bool, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who destroys a guest gives up what is being attached, and the thread that attaches it goes on."""
    cleared: list[str] = []
    monkeypatch.setattr(imagedevices, "clear_loops", cleared.append)
    (step,) = attachments(IMAGE)
    late: list[Callable[[], object]] = []
    begun = asyncio.Event()

    async def never(function: Callable[[], object]) -> None:
        late.append(function)
        begun.set()
        await asyncio.get_running_loop().create_future()

    at = replace(context(), offload=never)

    async def given_up() -> None:
        attaching = asyncio.create_task(step.perform(at))
        await begun.wait()
        attaching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attaching

    asyncio.run(given_up())
    assert cleared == [] and at.images == {}
    late[0]()
    assert cleared == [f"insula:{at.launch}:vda"]


def test_what_was_made_just_before_the_caller_gave_up_is_undone_by_the_caller() -> None:
    undone: list[str] = []
    makings = Makings(lambda: "made", undone.append)
    makings.perform()
    makings.give_up()
    makings.give_up()
    assert undone == ["made"]
