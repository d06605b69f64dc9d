"""systemd-nspawn, as a unit runs it: in the foreground, without the register of machines."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import ClassVar

from benchmarks.peers import INIT, PROBE, Runtime, command, expect_lines, proportional


@dataclass
class Nspawn(Runtime):
    """A start ends when the guest's program has been executed, which nobody tells: it is looked for. Without its
    register there is no command to enter a guest, so nsenter does it."""

    most: ClassVar[int] = 100
    name: str = "nspawn"
    root: Path = field(default_factory=Path)
    running: "dict[str, tuple[subprocess.Popen[bytes], int]]" = field(default_factory=dict)

    def missing(self) -> str | None:
        if which("systemd-nspawn") is None:
            return "systemd-nspawn is not installed"
        if not Path("/run/systemd/system").is_dir():
            return "systemd-nspawn wants a host that systemd runs"
        return None

    def prepare(self, root: Path, work: Path) -> None:
        self.root = root

    def make(self, name: str) -> None:
        return

    def start(self, name: str) -> None:
        words = ("systemd-nspawn", "-q", "--register=no", "-M", name, "-D", self.root, "--private-network")
        process = subprocess.Popen(
            [*words, "--private-users=pick", "--private-users-ownership=map", "--console=pipe", *INIT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while (found := self._init(process.pid)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("systemd-nspawn did not start the guest")
            time.sleep(0.0002)
        self.running[name] = (process, found)

    @staticmethod
    def _init(parent: int) -> int | None:
        """The guest's program below nspawn, once it is executed."""
        left = [parent]
        while left:
            pid = left.pop()
            try:
                if (Path(f"/proc/{pid}/exe")).readlink().name == "busybox":
                    return pid
                left += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
        return None

    def settle(self, name: str) -> None:
        return

    def execute(self, name: str) -> None:
        command("nsenter", "-a", "-t", str(self.running[name][1]), *PROBE)

    def destroy(self, name: str) -> None:
        process, init = self.running.pop(name)
        os.kill(init, signal.SIGKILL)
        process.wait()

    def listing(self, count: int) -> None:
        expect_lines("\n".join(self.running), count)

    def resident(self, names: Sequence[str]) -> int:
        return proportional([self.running[name][0].pid for name in names])

    def finish(self) -> None:
        for name in list(self.running):
            self.destroy(name)
