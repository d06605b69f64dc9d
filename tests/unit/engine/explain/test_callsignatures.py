"""Calls are written as people write them."""

import pytest

from insula.engine.explain import callsignatures
from insula.engine.explain.callsignatures import signature_of, signed, words, written
from insula.kernel.callnumbers import is_call


def test_every_call_of_the_table_is_one() -> None:
    assert [name for name in callsignatures._signatures() if not is_call(name)] == []


@pytest.mark.parametrize(
    ("name", "arguments", "shown", "text"),
    [
        ("openat", (0xFFFFFF9C, 4096, 0o2, 0o644, 0, 0), {1: '"/dev/mem"'}, 'openat(AT_FDCWD, "/dev/mem", 0x2, 0o644)'),
        ("setuid", (500, 0, 0, 0, 0, 0), {}, "setuid(500)"),
        ("chown", (4096, 0xFFFFFFFF, 3, 0, 0, 0), {0: '"/f"'}, 'chown("/f", -1, 3)'),
        ("getpid", (1, 2, 3, 4, 5, 6), {}, "getpid(0x1, 0x2, 0x3)"),
        ("", (1, 2, 3, 0, 0, 0), {}, "call 0x1f4(0x1, 0x2, 0x3)"),
        ("inotify_init", (1, 2, 3, 4, 5, 6), {}, "inotify_init()"),
    ],
)
def test_a_call_is_written_with_what_its_arguments_stand_for(
    name: str, arguments: tuple[int, ...], shown: dict[int, str], text: str
) -> None:
    assert written(name, 500, arguments, shown) == text


def test_a_register_is_read_as_an_int() -> None:
    assert (signed(0xFFFFFFFF), signed(0xFFFFFFFF_00000005), signed(0x7FFFFFFF)) == (-1, 5, 0x7FFFFFFF)


def test_what_is_in_no_table_has_no_words() -> None:
    assert signature_of("getpid") == ()
    assert words("a b a") == {"a", "b"}
