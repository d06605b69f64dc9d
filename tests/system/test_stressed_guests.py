"""A stranger's idea of what breaks a kernel, in a guest with limits: stress-ng ends, and harms nobody else."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine, Limits
from insula.engine.spec import Bytes, ImageMount, Microseconds
from tests import roots
from tests.enclosure import Enclosure
from tests.system_fixtures import busybox_copy
from tests.waiting import patience

pytestmark = [
    pytest.mark.requires("userns", "busybox", "overlay.idmapped", "loop", "stress-12"),
    pytest.mark.timeout(600),
]

IDLE = ("/bin/sleep", "1000")
SECONDS = 8
"""How long each class's stressors run, all of them at once."""
UNHARMED = (
    *("kernel/core_pattern", "kernel/modprobe", "kernel/hostname", "kernel/panic", "kernel/printk", "kernel/sysrq"),
    *("kernel/random/boot_id", "vm/overcommit_memory", "vm/swappiness", "fs/file-max", "kernel/pid_max"),
)
ENDED = {0: "well", 2: "some of them met a refusal", 3: "no resources", 4: "not implemented", 7: "some were not run"}
"""stress-ng(1), "EXIT STATUS"."""
DISPATCHED = re.compile(r"\b1 [a-z][a-z-]+")
"""One stressor of those that are told to have been started."""
LIMITS = Limits(memory=Bytes(384 << 20), pids=800, cpu_quota=Microseconds(100_000), cpu_period=Microseconds(100_000))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture
def guest(world: Enclosure, engine: Engine, scratch: Path) -> Iterator[Container]:
    """With stress-ng, limits, and a small disk of its own to write to."""
    image = scratch / "disk"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "100000", str(image), "256M"], check=True, stdout=subprocess.DEVNULL)
    root = roots.stress("12", world.outside)
    mounts = [ImageMount(source=str(image), target="/mnt")]
    with Container(
        root, name="stressed", init=IDLE, ephemeral=True, engine=engine, limits=LIMITS, mounts=mounts
    ) as made:
        yield made


def settings() -> dict[str, bytes]:
    return {name: (Path("/proc/sys") / name).read_bytes() for name in UNHARMED if (Path("/proc/sys") / name).exists()}


@pytest.mark.parametrize("kind", ["os", "filesystem"])
def test_a_class_of_stressors_ends_by_itself_and_harms_nobody_else(
    guest: Container, engine: Engine, scratch: Path, kind: str
) -> None:
    before = settings()
    words = [
        *("stress-ng", "--class", kind, "--all", "1", "--timeout", f"{SECONDS}s", "--temp-path", "/mnt"),
        *("--oomable", "--skip-silent", "--no-rand-seed"),
    ]
    with Container(
        busybox_copy(scratch / "quiet"), name="quiet", init=IDLE, ephemeral=True, engine=engine, memory=64 << 20
    ) as quiet:
        done = guest.run(words, text=True, timeout=patience(180))
        assert done.returncode in ENDED, done.stderr[-3000:]
        assert len(DISPATCHED.findall(done.stdout + done.stderr)) > 20
        assert quiet.run(["/bin/echo", "lives"], text=True).stdout == "lives\n"
    assert settings() == before
    assert guest.running
    assert guest.run(["/bin/echo", "lives"], text=True, timeout=patience(60)).stdout == "lives\n"
