"""Every need names what is read of a host, and says what goes without it."""

from dataclasses import fields

from insula.engine.facts import Facts
from insula.service.hostneeds import KERNEL_OFFERS, NODES_NEEDED, PROGRAMS_NEEDED
from insula.service.hostreadings import DEVICES, PROGRAMS


def test_needs_are_of_what_is_read() -> None:
    assert {name for each in PROGRAMS_NEEDED for name in each.names} <= set(PROGRAMS)
    assert {path for path, _, _ in NODES_NEEDED} <= set(DEVICES)
    assert {each.has for each in KERNEL_OFFERS} <= {each.name for each in fields(Facts)}


def test_each_says_what_it_costs_and_what_to_do() -> None:
    assert all(each.costs and each.package for each in PROGRAMS_NEEDED)
    assert all(each.costs and each.remedy for each in KERNEL_OFFERS)
    assert len({each.id for each in (*PROGRAMS_NEEDED, *KERNEL_OFFERS)}) == len(PROGRAMS_NEEDED) + len(KERNEL_OFFERS)
