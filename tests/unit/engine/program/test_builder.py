import pytest

from insula.engine.program.disassembly import Disassembly
from tests.players import builder


def test_there_is_no_root_before_it_is_attached() -> None:
    with pytest.raises(ValueError, match="no root"):
        builder().rooted()


def test_a_tree_that_was_made_is_not_passed() -> None:
    program = builder()
    program.receive_fds()
    proc = program.make_filesystem("proc")
    program.keep_tree("proc", proc)
    assert program.tree("proc") == proc
    program.tree("root")
    assert program.finished().passed == ("root",)


def test_a_file_system_is_made_option_by_option() -> None:
    program = builder()
    program.make_filesystem("tmpfs", [["size", "1m"], ["noswap", None]])
    lines = list(Disassembly(program.finished().image).lines())
    assert lines[:4] == [
        'fsopen("tmpfs", 1)',
        'fsconfig(r0, 1, "source", "tmpfs", 0)',
        'fsconfig(r0, 1, "size", "1m", 0)',
        'fsconfig(r0, 0, "noswap", 0, 0)',
    ]
