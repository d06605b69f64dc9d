"""The floor: the system calls of a start, an exec and a destroy, issued by a C program with nothing beside."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import ClassVar

from benchmarks.peers import Runtime, expect_lines
from insula.engine.policy.syscalls import programs
from insula.engine.spec import Seccomp
from insula.kernel.cgroups import Hierarchies

_SOURCE = Path(__file__).with_suffix(".c")
_OWNER = 2_000_000_000
"""Host id of the guests' root; nobody else's."""
_GROUP = "insula-benchmark-floor"


@dataclass
class Floor(Runtime):
    """One container more or less a line; the same kernel work as ours, hierarchy by hierarchy."""

    parallel: ClassVar[bool] = False
    name: str = "kernel floor"
    program: "subprocess.Popen[str] | None" = None
    numbers: dict[str, int] = field(default_factory=dict)
    groups: list[Path] = field(default_factory=list)
    made: int = 0

    def missing(self) -> str | None:
        if which("gcc") is None:
            return "gcc is not installed"
        return None if Hierarchies.detect().v2 is not None else "there is no v2 hierarchy"

    def prepare(self, root: Path, work: Path) -> None:
        place = work / "floor"
        place.mkdir()
        subprocess.run(["gcc", "-O2", "-o", place / "floor", _SOURCE], check=True)
        (place / "filter").write_bytes(programs(Seccomp(new_mounts=True))[0])
        found = Hierarchies.detect()
        hierarchies = [str(found.v2), *(str(each.mount) for each in found.v1)]
        for each in hierarchies:
            group = Path(each) / _GROUP
            group.mkdir(exist_ok=True)
            self.groups.append(group)
            for name in ("cpuset.cpus", "cpuset.mems"):  # empty in a new group of v1: nothing may run there
                if (group / name).exists() and (group.parent / name).exists():
                    (group / name).write_text((group.parent / name).read_text())
        controllers = (self.groups[0] / "cgroup.controllers").read_text().split()
        (self.groups[0] / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in controllers))
        self.program = subprocess.Popen(
            [place / "floor", root, _GROUP, str(_OWNER), place / "filter", *hierarchies],
            cwd=place,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, verb: str, name: str) -> None:
        assert self.program is not None
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(f"{verb} {self.numbers[name]}\n")
        if self.program.stdout.readline() != "ok\n":
            raise RuntimeError(f"the floor's program ended at {verb}")

    def make(self, name: str) -> None:
        self.numbers[name] = self.made % 2000
        self.made += 1

    def start(self, name: str) -> None:
        self.ask("start", name)

    def settle(self, name: str) -> None:
        return

    def execute(self, name: str) -> None:
        self.ask("exec", name)

    def destroy(self, name: str) -> None:
        self.ask("destroy", name)

    def forget(self, name: str) -> None:
        del self.numbers[name]

    def listing(self, count: int) -> None:
        expect_lines("\n".join(self.numbers), count)

    def resident(self, names: Sequence[str]) -> int:
        return 0

    def finish(self) -> None:
        if self.program is not None:
            self.program.communicate("")
        for group in self.groups:
            os.rmdir(group)
