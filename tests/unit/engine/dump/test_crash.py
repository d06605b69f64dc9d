"""What the kernel says of a process that crashes."""

import os
from pathlib import Path

import pytest

from insula.engine.dump.crash import ARGUMENTS, Crash, is_dumping, pids_of
from insula.errors import InvalidArgumentError

SAID = ["4242", "100033", "100044", "11", "1700000000", "18446744073709551615", "web", "1", "4242", "3"]


def test_what_the_kernel_says_is_read() -> None:
    crash = Crash.of(SAID)
    assert (crash.pid, crash.uid, crash.gid, crash.signal, crash.tid) == (4242, 100033, 100044, 11, 4242)
    assert (crash.limit, crash.hostname, crash.private) == (None, "web", False)
    assert Crash.of([*SAID[:5], "4096", *SAID[6:7], "2", *SAID[8:]]).limit == 4096
    assert Crash.of([*SAID[:7], "2", *SAID[8:9]]).private, "a kernel without %F, and a program that changed its ids"
    assert crash.pidfd == 3 and Crash.of([*SAID[:9], ""]).pidfd is None


@pytest.mark.parametrize(
    "arguments",
    [[], SAID[:8], ["x", *SAID[1:]], ["0", *SAID[1:]], ["-7", *SAID[1:]], [*SAID[:5], "", *SAID[6:]], [*SAID, "x"]],
)
def test_what_it_does_not_say_is_refused(arguments: list[str]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"arguments came|is not what the kernel says|names no process"):
        Crash.of(arguments)


def test_the_values_of_a_pattern_are_the_guests() -> None:
    me = str(os.getpid())
    crash = Crash.of([me, *SAID[1:8], me])
    values = crash.values(uid=33, gid=44, pid=7)
    assert (values["u"], values["g"], values["p"], values["P"], values["i"], values["h"]) == (
        "33",
        "44",
        "7",
        "7",
        "7",
        "web",
    )
    assert values["e"] == Path("/proc/self/comm").read_text().strip()
    assert values["E"].endswith(values["f"]) and values["c"] == "18446744073709551615"


def test_who_is_not_dumped_is_told_from_who_is() -> None:
    assert not is_dumping(os.getpid())
    assert not is_dumping(2**22 + 1)
    assert pids_of(os.getpid())[0] == os.getpid()
    assert pids_of(2**22 + 1) == ()


def test_the_arguments_fit_the_kernels_pattern() -> None:
    assert len(f"|/usr/libexec/insula-coredump {ARGUMENTS}") < 128, "CORENAME_MAX_SIZE"


def test_the_example_for_sysctl_d_says_what_we_read() -> None:
    example = Path(__file__).parents[4] / "examples/60-insula-coredump.conf"
    assert f"kernel.core_pattern = |/usr/libexec/insula-coredump {ARGUMENTS}\n" in example.read_text()
