"""Tests of insula.engine.steps.guest.viewbinds: a directory in place of a view."""

import os
from pathlib import Path

from insula.engine.steps.guest.roottree import AttachRoot, KeepMountsPrivate
from insula.engine.steps.guest.viewbinds import ShowMachine
from insula.kernel.mounts import detached_copy
from tests.unit.engine.steps.guest.performing import guest, perform
from tests.unit.engine.steps.inchild import in_namespaces


def test_files_and_directories_of_a_view_are_shown_and_the_view_itself_is_not(tmp_path: Path) -> None:
    for place, text in (("view", "the guest's"), ("root", "the host's")):
        for path in ("proc/meminfo", "sys/cpu/online"):
            (tmp_path / place / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place / path).write_text(text)
    (tmp_path / "root/dev").mkdir()
    (tmp_path / "view/dev").mkdir()
    (tmp_path / "view/dev/kmsg").write_text("the guest's log")
    (tmp_path / "root/untouched").write_text("stays")
    (tmp_path / "place").mkdir()

    def work() -> tuple[str, str, str, list[str]]:
        perform(guest(), KeepMountsPrivate(why="test"))
        us = guest(root=detached_copy(str(tmp_path / "root")), machine=detached_copy(str(tmp_path / "view")))
        place = tmp_path / "place"
        perform(us, AttachRoot(why="test", source="root", place=str(place)))
        perform(us, ShowMachine(why="test", source="machine", paths=["proc/meminfo", "sys/cpu", "dev/kmsg"]))
        return (
            (place / "proc/meminfo").read_text(),
            (place / "sys/cpu/online").read_text(),
            (place / "dev/kmsg").read_text(),
            sorted(os.listdir(place)),
        )

    shown = in_namespaces(work)
    assert shown == ("the guest's", "the guest's", "the guest's log", ["dev", "proc", "sys", "untouched"])
    assert (tmp_path / "root/proc/meminfo").read_text() == "the host's"
