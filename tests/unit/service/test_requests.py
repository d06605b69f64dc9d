"""The flags that callers pass have libvirt's numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.rpc.codes import requests as codes
from insula.service import requests

PAIRS: list[tuple[type[IntEnum] | type[IntFlag], type[IntEnum] | type[IntFlag]]] = [
    (requests.Filter, codes.ListDomains),
    (requests.Affect, codes.Affect),
    (requests.AddressSource, codes.AddressSource),
    (requests.StatsGroup, codes.StatsTypes),
]


@pytest.mark.parametrize(("ours", "wire"), PAIRS, ids=lambda pair: pair.__name__)
def test_flags_of_one_name_have_one_number(
    ours: type[IntEnum] | type[IntFlag], wire: type[IntEnum] | type[IntFlag]
) -> None:
    numbers = {_plain(each.name): each.value for each in wire}
    common = {_plain(each.name): each.value for each in ours if _plain(each.name) in numbers}

    assert len(common) == len(ours)
    assert common == {name: numbers[name] for name in common}


def _plain(name: str | None) -> str:
    return str(name).replace("_", "")


def test_ways_of_shutting_down_have_the_numbers_of_the_wire() -> None:
    ours = [requests.ShutdownMode[name] for name in ("ACPI", "AGENT", "INITCTL", "SIGNAL", "PARAVIRT")]
    names = ("ACPI_POWER_BTN", "GUEST_AGENT", "INITCTL", "SIGNAL", "PARAVIRT")

    assert [int(each) for each in ours] == [int(codes.ShutdownFlags[name]) for name in names]
