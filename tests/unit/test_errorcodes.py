"""libvirt's own numbers of errors, under its names."""

import pytest

from insula.errorcodes import ErrorCode, ErrorDomain
from tests.unit.rpc.codes.constants import differences


@pytest.mark.requires("libvirt-python")
def test_codes_are_numbered_as_libvirt_numbers_them() -> None:
    assert differences(ErrorCode, "VIR_ERR_") == {}


@pytest.mark.requires("libvirt-python")
def test_parts_are_numbered_as_libvirt_numbers_them() -> None:
    assert differences(ErrorDomain, "VIR_FROM_") == {}
