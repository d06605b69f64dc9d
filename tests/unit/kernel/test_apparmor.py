"""Tests of insula.kernel.apparmor."""

import struct
from pathlib import Path

import pytest

from insula.kernel.apparmor import loaded_profiles, profile_at_exec, takes_profiles


def test_the_attribute_is_a_context_of_apparmors_with_its_own_lengths() -> None:
    attribute = profile_at_exec("insula-guest-1")
    module, flags, size, text = struct.unpack_from("=QQQQ", attribute)
    assert (module, flags, size) == (104, 0, len(attribute))
    assert attribute[32:] == b"exec insula-guest-1\0" and text == len(attribute) - 32


def test_profiles_that_only_complain_hold_nobody(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("/usr/bin/man (enforce)\nname of words (enforce)\nlsb_release (complain)\n")
    assert loaded_profiles(tmp_path) == {"/usr/bin/man", "name of words"}


@pytest.mark.requires("apparmor")
def test_a_host_with_apparmor_takes_profiles() -> None:
    assert takes_profiles()


def test_a_host_takes_profiles_only_if_the_kernel_names_the_module() -> None:
    switch = Path("/sys/module/apparmor/parameters/enabled")
    assert switch.exists() or not takes_profiles()
