"""The kernel itself hands the cores of crashing programs to the dispatcher: where its core_pattern may be changed."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.dump.crash import ARGUMENTS
from tests.services import Service, driven, guest_xml, layout_below, program, serving
from tests.waiting import until

pytestmark = pytest.mark.requires("own-kernel", "userns", "busybox", "overlay.idmapped")

PATTERN, LIMIT = Path("/proc/sys/kernel/core_pattern"), Path("/proc/sys/kernel/core_pipe_limit")
CRASHES = program("ulimit -c unlimited", "cd /", "sh -c 'kill -SEGV $$'", "echo $? > /crashed", "exec sleep 9999")
OURS = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
KEPT = f"<metadata><insula:domain {OURS}><insula:coredumps pattern='/var/crash/core.%e.%u'/></insula:domain></metadata>"
SAYS_IT_HERE = """
import sys, syslog
from insula.daemon import crashentry
syslog.syslog = lambda priority, text: priority == syslog.LOG_INFO or sys.stderr.write(text + chr(10))
sys.exit(crashentry.main())
"""
"""The machine has no log of its host."""
SEGMENTATION_FAULT = "139\n"


@pytest.fixture
def service(scratch: Path) -> Iterator[Service]:
    with serving(layout_below(scratch), labels=True) as opened:
        yield opened


@pytest.fixture
def dispatcher(scratch: Path) -> Iterator[Path]:
    """Have the kernel give cores to the dispatcher; return the file of what that complains of."""
    script, log = scratch / "d", scratch / "log"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{SAYS_IT_HERE}' \"$@\" 2>>{log}\n")
    script.chmod(0o755)
    before = PATTERN.read_text(), LIMIT.read_text()
    try:
        LIMIT.write_text("4")
        PATTERN.write_text(f"|{script} {ARGUMENTS}")
        yield log
    finally:
        PATTERN.write_text(before[0])
        LIMIT.write_text(before[1])


def crashed(root: Path) -> bool:
    path = root / "crashed"
    return path.exists() and path.read_text() == SEGMENTATION_FAULT


def begins(core: Path) -> bytes:
    return core.read_bytes()[:4]


def complaints(log: Path) -> str:
    return log.read_text() if log.exists() else ""


@driven
async def test_a_core_that_the_kernel_writes_is_in_the_guest_alone(
    service: Service, busybox_root: Path, dispatcher: Path, scratch: Path
) -> None:
    (busybox_root / "var/crash").mkdir(parents=True)
    ref = await service.domains.define(guest_xml(str(busybox_root), init=CRASHES, more=KEPT))
    await service.domains.start(ref)
    until(lambda: crashed(busybox_root), "the guest's program having crashed")
    core = busybox_root / "var/crash/core.sh.0"
    until(lambda: core.exists() and core.stat().st_size > 0, "the core being kept")
    assert begins(core) == b"\x7fELF"
    assert not [each for each in os.listdir(busybox_root) if each.startswith("core")]
    assert complaints(dispatcher) == ""
    await service.domains.destroy(ref)


@driven
async def test_a_guest_that_keeps_none_leaves_none_anywhere(
    service: Service, busybox_root: Path, dispatcher: Path, scratch: Path
) -> None:
    (busybox_root / "var/crash").mkdir(parents=True)
    before = set(os.listdir("/")) | set(os.listdir(scratch))
    ref = await service.domains.define(guest_xml(str(busybox_root), init=CRASHES))
    await service.domains.start(ref)
    until(lambda: crashed(busybox_root), "the guest's program having crashed")
    assert os.listdir(busybox_root / "var/crash") == []
    assert not {each for each in set(os.listdir("/")) | set(os.listdir(scratch)) if "core" in each} - before
    await service.domains.destroy(ref)
