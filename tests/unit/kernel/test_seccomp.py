import errno
import os

import pytest

from insula.kernel import privileges
from insula.kernel.callfilter import Filter, Rule, compile_filter
from insula.kernel.seccomp import load


def in_child(program: bytes) -> int:
    """Load a filter in a child without privileges to gain, and make a call; return its errno, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            privileges.set_no_new_privileges()
            load(program)
            os.getpriority(os.PRIO_PROCESS, 0)
        except OSError as error:
            os._exit(error.errno or 0)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("refusal", [errno.EACCES, errno.ENOSYS])
def test_a_loaded_filter_holds(refusal: int) -> None:
    assert in_child(compile_filter(Filter(rules=(Rule(names=("getpriority",), refusal=refusal),)))) == refusal


def test_what_passes_passes() -> None:
    assert in_child(compile_filter(Filter(rules=()))) == 0


def test_a_broken_program_is_refused() -> None:
    assert in_child(b"\xff" * 8) == errno.EINVAL
