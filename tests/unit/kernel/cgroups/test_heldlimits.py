import errno
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.cgroups.heldlimits import UNLIMITED, BlockLimit, limited, shares_of, swap_of, weigh_device, weight_of


@pytest.mark.parametrize(("shares", "weight"), [(1024, 100), (2048, 200), (512, 50), (2, 1), (262_144, 10_000)])
def test_shares_and_weights_stand_for_each_other_in_proportion(shares: int, weight: int) -> None:
    assert weight_of(shares) == weight


@given(st.integers(min_value=1, max_value=10_000))
def test_a_weight_survives_being_shown_as_shares(weight: int) -> None:
    assert weight_of(shares_of(weight)) == weight


@pytest.mark.parametrize(
    ("value", "limit"), [(UNLIMITED, None), (9223372036854771712, None), (9007199254740991 * 1024, None), (4096, 4096)]
)
def test_what_kernels_and_libvirt_call_unlimited_is_no_limit(value: int, limit: int | None) -> None:
    assert limited(value) == limit


def test_swap_alone_is_what_the_sum_leaves() -> None:
    assert swap_of(100, 150) == 50
    assert swap_of(100, 100) == 0
    assert swap_of(100, None) is None
    assert swap_of(None, None) is None


@pytest.mark.parametrize("memory", [None, 200])
def test_a_sum_below_the_memory_is_refused(memory: int | None) -> None:
    with pytest.raises(ValueError, match="memory"):
        swap_of(memory, 100)


def test_a_device_limit_names_its_device_as_the_kernel_does() -> None:
    assert BlockLimit(major=254, minor=3).number == "254:3"


def refusing(number: int, text: str) -> Callable[[int], None]:
    def put(_: int) -> None:
        raise OSError(number, text, "blkio.bfq.weight_device")

    return put


def test_a_device_whose_scheduler_has_no_weights_has_none_to_lose_and_is_told_as_such() -> None:
    put = refusing(errno.EOPNOTSUPP, f"writing '8:0 300': {os.strerror(errno.EOPNOTSUPP)}")
    weigh_device(0, put)
    weigh_device(None, put)
    with pytest.raises(OSError, match="scheduler has no weights, which bfq has") as refusal:
        weigh_device(300, put)
    assert (refusal.value.errno, refusal.value.filename) == (errno.EOPNOTSUPP, "blkio.bfq.weight_device")
    with pytest.raises(OSError, match="no such control file"):
        weigh_device(300, refusing(errno.EOPNOTSUPP, "no such control file"))
    with pytest.raises(OSError, match="no such device"):
        weigh_device(0, refusing(errno.ENODEV, "no such device"))
