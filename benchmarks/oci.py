"""OCI runtimes: crun and runc, driven as an engine drives them."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import INIT, PROBE, PrivateMounts, Runtime, command, expect_lines, remove_groups


@dataclass
class Oci(Runtime):
    """An OCI runtime with a bundle per container: every namespace but the user's, own cgroup, default device list."""

    name: str
    work: Path = field(default_factory=Path)
    root: Path = field(default_factory=Path)
    mounts: PrivateMounts | None = None

    def missing(self) -> str | None:
        return None if shutil.which(self.name) else f"{self.name} is not installed"

    def prepare(self, root: Path, work: Path) -> None:
        self.root, self.work = root, work / self.name
        self.work.mkdir(parents=True)
        self.mounts = PrivateMounts()

    def bundle(self, name: str) -> Path:
        bundle = self.work / name
        bundle.mkdir()
        command(self.name, "spec", "-b", bundle)
        path = bundle / "config.json"
        spec = json.loads(path.read_text())
        spec["process"].update(terminal=False, args=list(INIT))
        spec["process"].pop("rlimits", None)
        spec["root"] = {"path": str(self.root), "readonly": False}
        spec["linux"]["cgroupsPath"] = f"/insula-benchmark-{self.name}/{name}"
        path.write_text(json.dumps(spec))
        return bundle

    def make(self, name: str) -> None:
        self.bundle(name)

    def forget(self, name: str) -> None:
        shutil.rmtree(self.work / name)

    def start(self, name: str) -> None:
        with open(os.devnull, "wb") as null:
            assert self.mounts is not None
            subprocess.run(
                [self.name, "run", "-d", "-b", self.work / name, name],
                check=True,
                stdin=null,
                stdout=null,
                stderr=null,
                preexec_fn=self.mounts.enter,
            )

    def settle(self, name: str) -> None:
        return

    def execute(self, name: str) -> None:
        command(self.name, "exec", name, *PROBE, mounts=self.mounts)

    def destroy(self, name: str) -> None:
        command(self.name, "delete", "-f", name, mounts=self.mounts)

    def listing(self, count: int) -> None:
        expect_lines(command(self.name, "list", mounts=self.mounts), count)

    def resident(self, names: Sequence[str]) -> int:
        return 0  # it leaves no process; whoever waits for the container (conmon, containerd-shim) is not measured

    def finish(self) -> None:
        if self.mounts is not None:
            self.mounts.close()
        shutil.rmtree(self.work, ignore_errors=True)
        remove_groups(f"insula-benchmark-{self.name}")
