"""A daemon under a watch, one domain, and what can be told of both: for tests in which calls fail or are the last."""

import contextlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from insula.engine.codec import encode
from insula.storage.builders.imagebuilder import Recipe
from insula.storage.imagestore import Image
from tests.e2e.guests import domain_xml, insula
from tests.injection import WatchedInsulad
from tests.testhost import TestHost
from tests.trees import everything_below
from tests.waiting import patience, until

UUID = "0b9b8d9e-0000-4000-8000-00163e000006"
IMAGE = "small"
BUILT = "built"


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What a daemon says there is: the domain's state (empty: none), flags, memory in MiB, definition; the images."""

    state: str
    persistent: bool
    autostart: bool
    memory: int
    definition: str
    images: tuple[str, ...]

    @property
    def brief(self) -> tuple[str, bool, bool, int, bool]:
        """What can be expected of it without knowing how definitions are written."""
        return self.state, self.persistent, self.autostart, self.memory, BUILT in self.images

    def __str__(self) -> str:
        return f"{self.brief}, definition {hash(self.definition) & 0xFFFF:x}"


class Scene:
    """One domain `g` and one image `small` below a prefix. reads: see `WatchedInsulad.start_watched`."""

    def __init__(self, host: TestHost, directory: Path, root: Path) -> None:
        self.insulad = WatchedInsulad(host=host, prefix=directory / "p")
        self.reads = False
        self._directory = directory
        self._image(root)
        self.document = self._document("g.xml", root, memory=64)
        self.another = self._document("h.xml", root, memory=48)
        self.cloned = self._document("c.xml", root, memory=64, image=IMAGE)

    def _document(self, name: str, root: Path, *, memory: int, image: str = "") -> str:
        path = self._directory / name
        xml = domain_xml("g", root, memory=memory).replace("<memory", f"<uuid>{UUID}</uuid><memory", 1)
        if image:
            xml = xml.replace(f"type='mount'><source dir='{root}'/>", f"type='template'><source name='{image}'/>")
        path.write_text(xml)
        return str(path)

    def _image(self, root: Path) -> None:
        directory = self.insulad.layout.images / IMAGE
        directory.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(root), str(directory / "rootfs")], check=True)
        described = Image(
            name=IMAGE,
            id="1",
            recipe=Recipe(builder="busybox"),
            created="2026-01-01T00:00:00+00:00",
            size=1,
            os="",
            distribution="",
            release="",
            architecture="x86_64",
        )
        (directory / "image.json").write_text(json.dumps(encode(described)))

    # The daemon

    def begin(self) -> None:
        self.insulad.start_watched(reads=self.reads)

    def died(self, *, killed: bool) -> bool:
        """Whether the daemon has died; it has been waited for then. killed: it must have."""
        process = self.insulad.process
        assert process is not None
        if (process.wait(timeout=patience(30)) if killed else process.poll()) is not None:
            self.insulad.process = None
        return self.insulad.process is None

    # What is said, and what is

    def view(self) -> View:
        images = self.insulad.layout.images
        names = tuple(sorted(each.name for each in images.iterdir() if (each / "image.json").exists()))
        kinds = ("", "--persistent", "--autostart")
        lists = "; echo -; ".join(f"list --all --name {each}" for each in kinds)
        said = self.insulad.virsh(lists).stdout.split("-\n")
        there, persistent, autostart = ("g" in each.split() for each in said)
        if not there:
            return View(state="", persistent=False, autostart=False, memory=0, definition="", images=names)
        more = "; echo -; dumpxml --inactive g" if persistent else ""
        state, live, *rest = self.insulad.virsh(f"domstate g; echo -; dumpxml g{more}").stdout.split("\n-\n")
        memory = re.search(r"<currentMemory[^>]*>(\d+)", live)
        return View(
            state=state.strip(),
            persistent=persistent,
            autostart=autostart,
            memory=int(memory[1]) // 1024 if memory else 0,
            definition=rest[0] if rest else "",
            images=names,
        )

    def inits(self) -> list[int]:
        """Return the first processes of guests that live."""
        found = []
        for each in Path("/proc").iterdir():
            if each.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    # A path above the enclosure's root is another session's.
                    if rb"\x2dg.scope" in (groups := (each / "cgroup").read_bytes()) and b"/.." not in groups:
                        status = (each / "status").read_text()
                        if (
                            status.partition("NSpid:")[2].splitlines()[0].split()[1:] == ["1"]
                            and "State:\tZ" not in status
                        ):
                            found.append(int(each.name))
        return found

    def left(self) -> set[str]:
        """Return what is below the prefix and in the control groups and is none of what a quiet daemon has."""
        found = {os.fspath(each.relative_to(self.insulad.prefix)) for each in everything_below(self.insulad.prefix)}
        groups = {os.fspath(each) for each in everything_below(Path("/sys/fs/cgroup")) if each.name.endswith("g.scope")}
        ours = f"var/lib/insula/images/{IMAGE}"
        return {each for each in found if ours not in each and "/log" not in each} | groups

    def clean(self, baseline: set[str]) -> list[str]:
        """End and remove everything; return what could not be, and what is left then."""
        problems = []
        if "g" in self.insulad.virsh("list", "--name").stdout.split():
            result = self.insulad.virsh("destroy", "g", check=False)
            if result.returncode:
                problems.append(f"destroy fails afterwards: {result.stderr.strip()}")
        if "g" in self.insulad.virsh("list", "--all", "--name").stdout.split():
            removed = insula(self.insulad, "rm", "--force", "g", check=False)
            if removed.returncode:
                problems.append(f"rm fails afterwards: {removed.stderr.strip()}")
        if (self.insulad.layout.images / BUILT / "image.json").exists():
            insula(self.insulad, "image", "rm", BUILT, check=False)
        if not (self.insulad.layout.images / IMAGE / "image.json").exists():
            problems.append("the image is gone")
        with contextlib.suppress(TimeoutError):
            until(lambda: self.left() <= baseline, "nothing being left", 2)
        if left := self.left() - baseline:
            problems.append(f"left behind: {', '.join(sorted(left)[:6])}")
        if inits := self.inits():
            problems.append(f"inits live on: {inits}")
        return problems
