"""Tests of insula.engine.passednumbers."""

import os

from insula.engine.passednumbers import FIRST_PASSED_FD, LAST_PASSED_FD, move_up, reserve_numbers


def test_once_reserved_nothing_is_opened_in_the_range_and_what_was_there_moved_up() -> None:
    child = os.fork()
    if child == 0:
        opened = os.open("/", os.O_RDONLY)
        moved = move_up(opened)
        reserve_numbers()
        nothing_else = {os.readlink(f"/proc/self/fd/{number}") for number in range(FIRST_PASSED_FD, LAST_PASSED_FD + 1)}
        later = os.open("/", os.O_RDONLY)
        good = moved > LAST_PASSED_FD and later > LAST_PASSED_FD and nothing_else == {"/dev/null"}
        os._exit(0 if good and not os.get_inheritable(FIRST_PASSED_FD) else 1)
    assert os.waitpid(child, 0)[1] == 0
