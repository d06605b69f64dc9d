import errno
import os

import pytest

from insula.engine.program.assembly import Label
from insula.engine.program.disassembly import Disassembly, listed
from tests.players import builder


def test_a_program_is_listed_step_by_step() -> None:
    program = builder(machine="aarch64")
    program.mark("open what there is")
    missing = Label()
    found = program.open_beneath(-100, "etc/nothing", os.O_PATH, unless=(errno.ENOENT, missing))
    program.close(found)
    program.here(missing)
    program.mark("say so")
    program.store(program.room(4), found)
    program.say({"done": True})
    program.call("umask", 0o22, wanted=-errno.EINVAL)
    assert list(listed(program.finished(), machine="aarch64")) == [
        "# open what there is",
        '   0  openat2(-0x64, "etc/nothing", &1, 0x18); again on EAGAIN; on ENOENT skip 1',
        "   1  close(r0)",
        "# say so",
        "   2  store(&2, r0)",
        "   3  sendmsg(channel, &3, 0x4000) = 13",
        "   4  umask(0x12) = EINVAL",
    ]


def test_what_is_no_program_is_not_listed() -> None:
    with pytest.raises(ValueError, match="not a program"):
        Disassembly(bytes(64))


def test_what_is_shorter_than_a_header_is_no_program() -> None:
    with pytest.raises(ValueError, match="not a program: it has 3 bytes"):
        Disassembly(b"INS")
