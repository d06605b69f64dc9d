"""What a program in a view of its own sees of the host, and may write to."""

import os
from pathlib import Path

from insula.network.sealedview import SealedView, enter_view, seal
from tests.unit.engine.steps.inchild import in_namespaces


def test_a_view_has_what_it_shows_and_nothing_else(tmp_path: Path) -> None:
    shown, hidden, written = tmp_path / "shown", tmp_path / "hidden", tmp_path / "written"
    for directory in (shown, hidden):
        directory.mkdir()
        (directory / "file").write_text("text")
    written.write_text("")
    view = SealedView(shown=(str(shown), str(tmp_path / "missing")), written=(str(written),), own="/own", owner=(0, 0))

    def look() -> tuple[bool, list[str], list[str], list[str]]:
        enter_view(view)
        seal()
        refused = []
        for place in (shown / "new", tmp_path / "new", Path("/new"), Path("/own/new")):
            try:
                place.write_text("")
            except OSError:
                refused.append(str(place))
        written.write_text("said")
        return hidden.exists(), sorted(os.listdir("/")), sorted(os.listdir(tmp_path)), refused

    top = f"{tmp_path}".split("/")[1]
    assert in_namespaces(look) == (
        False,
        sorted(["own", top]),
        ["shown", "written"],
        [str(shown / "new"), str(tmp_path / "new"), "/new", "/own/new"],
    )
    assert written.read_text() == "said"


def test_its_own_directory_is_written_to_until_it_is_sealed() -> None:
    def write() -> str:
        enter_view(SealedView(shown=(), own="/own", owner=(0, 0)))
        Path("/own/pid").write_text("1")
        return Path("/own/pid").read_text()

    assert in_namespaces(write) == "1"
