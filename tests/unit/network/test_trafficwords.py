"""Numbers of the kernel's traffic control."""

import errno
from typing import NoReturn

import pytest

from insula.network.rtnetlink import NetlinkRequest
from insula.network.trafficwords import long_rate, needing, perform_away, rate_part, remove_queue, ticks
from tests.unit.network.kinds.conversation import Conversation


def test_a_rate_beyond_32_bits_is_told_beside_the_others() -> None:
    assert rate_part(6_000_000_000)[-4:] == b"\xff" * 4
    assert long_rate(6, 1000) == b""
    assert long_rate(6, 6_000_000_000)[-8:] == (6_000_000_000).to_bytes(8, "little")
    assert rate_part(0) == bytes(12)


def test_a_bucket_is_told_in_ticks_of_64_nanoseconds() -> None:
    assert ticks(1_000_000, 1_000_000) == 15_625_000
    assert ticks(1 << 40, 1) == 0xFFFFFFFF
    assert ticks(0, 0) == 0


def test_what_is_not_there_may_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Conversation()
    perform_away(host.socket, remove_queue(7, 0, 1))
    assert host.asked == ["a former limit"]
    answers = [errno.ENOENT, errno.EINVAL, errno.EPERM]

    def refuse(*requests: NetlinkRequest) -> NoReturn:
        raise OSError(answers.pop(0), "no")

    monkeypatch.setattr(host, "perform", refuse)
    for _ in range(2):
        perform_away(host.socket, remove_queue(7, 0, 1))
    with pytest.raises(PermissionError, match="no"):
        perform_away(host.socket, remove_queue(7, 0, 1))


def test_what_a_kernel_lacks_is_named() -> None:
    reason = "the limit: gone; the kernel lacks what limits traffic"
    with pytest.raises(OSError, match=reason) as caught, needing("sch_tbf"):
        raise FileNotFoundError(errno.ENOENT, "the limit: gone")
    assert caught.value.errno == errno.EOPNOTSUPP
