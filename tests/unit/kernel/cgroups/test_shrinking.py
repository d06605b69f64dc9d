import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from insula.kernel.cgroups import shrinking, v2

MIB = 1 << 20


@dataclass(slots=True)
class Kernel:
    """A v2 group's files, and what the kernel does at a write: frees what it may, and kills for memory.max alone.

    stays: bytes that nothing frees; grows: what programs take between two writes, unless memory.high stops them.
    frees: the most that one write frees.
    """

    directory: Path
    used: int
    stays: int
    grows: int = 0
    frees: int = 1 << 40
    killed: bool = False
    written: list[tuple[str, str]] = field(default_factory=list)

    def prepare(self, high: str = "max", limit: str = "max") -> None:
        for name, text in {"memory.high": high, "memory.max": limit, "memory.current": str(self.used)}.items():
            (self.directory / name).write_text(text + "\n")

    def write(self, path: str, value: str) -> None:
        name = Path(path).name
        self.written.append((name, value))
        Path(path).write_text(value + "\n")
        if value != "max":
            wanted = self.used - int(value) if name == "memory.reclaim" else int(value)
            self.used = max(min(self.used, wanted), self.stays, self.used - self.frees)
            self.killed |= name == "memory.max" and self.used > int(value)
        high = self.text("memory.high")
        if high == "max" or self.used <= int(high):
            self.used, self.stays = self.used + self.grows, self.stays + self.grows
        (self.directory / "memory.current").write_text(f"{self.used}\n")

    def text(self, name: str) -> str:
        return (self.directory / name).read_text().strip()


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path, used=100 * MIB, stays=30 * MIB)
    monkeypatch.setattr("insula.kernel.cgroups.files.write", made.write)
    return made


@pytest.mark.parametrize("frees", [1 << 40, 7 * MIB], ids=["at once", "bit by bit"])
def test_memory_is_freed_before_the_limit_is_written(kernel: Kernel, frees: int) -> None:
    kernel.frees = frees
    kernel.prepare()
    shrinking.lower(str(kernel.directory), 40 * MIB)

    assert kernel.text("memory.max") == str(40 * MIB)
    assert not kernel.killed
    assert kernel.text("memory.high") == "max"


def test_what_does_not_shrink_is_refused_with_every_limit_as_before(kernel: Kernel) -> None:
    kernel.prepare(high=str(90 * MIB), limit=str(200 * MIB))
    with pytest.raises(OSError, match="30720 KiB are in use and do not shrink to 16384 KiB") as refusal:
        shrinking.lower(str(kernel.directory), 16 * MIB)

    assert refusal.value.errno == errno.EBUSY
    assert (kernel.text("memory.max"), kernel.text("memory.high")) == (str(200 * MIB), str(90 * MIB))
    assert not kernel.killed


def test_programs_that_take_more_meanwhile_are_stopped_while_the_limit_is_written(kernel: Kernel) -> None:
    kernel.grows = 2 * MIB
    kernel.prepare()
    shrinking.lower(str(kernel.directory), 40 * MIB)
    assert kernel.text("memory.max") == str(40 * MIB)
    assert not kernel.killed


def test_freeing_ends_at_the_deadline(kernel: Kernel) -> None:
    kernel.frees = 1
    kernel.prepare()
    squeezed = shrinking.V2Shrinking(str(kernel.directory), 40 * MIB)
    with pytest.raises(OSError, match="do not shrink"):
        squeezed.shrink(shrinking.Course(seconds=0))
    squeezed.end(limited=False)
    assert (kernel.text("memory.max"), kernel.text("memory.high")) == ("max", "max")


def test_a_lower_soft_limit_stays_in_force_throughout(kernel: Kernel) -> None:
    kernel.prepare(high=str(32 * MIB))
    shrinking.lower(str(kernel.directory), 40 * MIB)
    assert {value for name, value in kernel.written if name == "memory.high"} == {str(32 * MIB)}


def test_a_refused_limit_leaves_that_of_swap(kernel: Kernel) -> None:
    kernel.prepare(limit=str(200 * MIB))
    (kernel.directory / "memory.swap.max").write_text("0\n")
    with pytest.raises(OSError, match="do not shrink"):
        v2.V2Memory(str(kernel.directory)).limit(memory=16 * MIB)
    assert (kernel.text("memory.max"), kernel.text("memory.swap.max")) == (str(200 * MIB), "0")


def test_a_few_bytes_at_a_time_are_freed_and_told(kernel: Kernel) -> None:
    kernel.prepare()
    told: list[int] = []
    squeezed = shrinking.V2Shrinking(str(kernel.directory), 40 * MIB)
    squeezed.shrink(shrinking.Course(step=10 * MIB, tell=told.append, rest=lambda _: False))

    assert told == [100 * MIB, 90 * MIB, 80 * MIB, 70 * MIB, 60 * MIB, 50 * MIB, 40 * MIB]
    assert kernel.text("memory.max") == "max"
    squeezed.end(limited=False)
    assert kernel.text("memory.high") == "max"


def test_a_kernel_that_frees_on_demand_is_asked_before_programs_are_stopped(kernel: Kernel) -> None:
    kernel.prepare()
    (kernel.directory / "memory.reclaim").write_text("")
    shrinking.V2Shrinking(str(kernel.directory), 40 * MIB).shrink(shrinking.Course(step=20 * MIB))
    assert kernel.written[:2] == [("memory.reclaim", str(20 * MIB)), ("memory.high", str(80 * MIB))]


def test_programs_that_stand_still_or_need_again_what_was_freed_get_longer_and_longer_rests(kernel: Kernel) -> None:
    kernel.prepare()
    rests: list[float] = []
    clock = iter(range(1000))

    def rest(seconds: float) -> bool:
        rests.append(seconds)
        return False

    course = shrinking.Course(
        step=10 * MIB, seconds=None, longest_rest=1.0, rest=rest, stalled=lambda: 1000.0 * next(clock)
    )
    shrinking.V2Shrinking(str(kernel.directory), 40 * MIB).shrink(course)
    assert [each for each in rests if each] == [0.02, 0.04, 0.08, 0.16]


def test_who_gives_up_is_told_so(kernel: Kernel) -> None:
    kernel.prepare()
    course = shrinking.Course(step=10 * MIB, rest=lambda _: True)
    with pytest.raises(OSError, match="given up") as given_up:
        shrinking.V2Shrinking(str(kernel.directory), 40 * MIB).shrink(course)
    assert given_up.value.errno == errno.ECANCELED
