from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import privileges
from insula.kernel.privileges import CAPABILITIES


def status(field: str) -> int:
    """Return a mask of the calling thread as the kernel shows it."""
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    return int(dict(line.split(":\t") for line in lines if ":\t" in line)[field], 16)


def test_every_capability_has_the_kernels_number() -> None:
    assert privileges.capability_number("chown") == 0
    assert privileges.capability_number("sys_admin") == 21
    assert privileges.capability_number("checkpoint_restore") == 40
    assert len(set(CAPABILITIES)) == len(CAPABILITIES) == 41


@pytest.mark.parametrize("name", ["", "cap_chown", "CHOWN", "64", "-1"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(OSError, match="no such capability"):
        privileges.capability_number(name)


@given(st.sets(st.sampled_from(CAPABILITIES)))
def test_names_and_masks_stand_for_each_other(names: set[str]) -> None:
    assert privileges.names_in(privileges.mask_of(names)) == names


def test_a_capability_newer_than_the_list_is_known_by_its_number() -> None:
    assert privileges.names_in(1 << 50) == {"50"}
    assert privileges.mask_of({"50"}) == 1 << 50


def test_the_kernel_tells_its_last_capability() -> None:
    assert privileges.last_capability() == int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def test_the_sets_of_this_thread_are_those_the_kernel_shows() -> None:
    held = privileges.held()
    assert privileges.mask_of(held.effective) == status("CapEff")
    assert privileges.mask_of(held.permitted) == status("CapPrm")
    assert privileges.mask_of(held.inheritable) == status("CapInh")
