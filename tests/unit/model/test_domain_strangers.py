"""Definitions of strangers: whatever libvirt's LXC driver takes we take, and whatever it reads in them we keep."""

from pathlib import Path

import pytest

from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.model.validate import problems
from tests.strangers import DEFINITIONS, READ, Fact, facts

WHOLE = XmlFlags.INACTIVE | XmlFlags.SECURE

EACH = pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)


def _of_the_host(fact: Fact, written: set[Fact]) -> bool:
    """Whether libvirt made it up, or found it on the host: names nobody wrote, its own program, the processor."""
    path, _ = fact
    made_up = ("/domain/uuid", "/domain/devices/interface/mac/@address", "/domain/os/type/@arch")
    return path == "/domain/devices/emulator" or (path in made_up and path not in {each for each, _ in written})


def _plain(each: Fact) -> Fact:
    """The place of a device on a bus is written in hexadecimal by libvirt, and in decimal by us."""
    path, value = each
    return (path, str(int(value, 0))) if path.endswith("/source/address/@bus") else each


def test_there_is_something_to_read() -> None:
    assert len(DEFINITIONS) > 20
    assert [path.name for path in DEFINITIONS] == sorted(path.name for path in READ.iterdir())
    assert all(path.read_text().startswith("<!-- ") for path in DEFINITIONS), "each names its source"


@EACH
def test_what_libvirt_takes_is_taken(path: Path) -> None:
    assert problems(DomainDefinition.load(path.read_text())) == ()


@EACH
def test_what_libvirt_reads_is_kept(path: Path) -> None:
    kept = {_plain(each) for each in facts(DomainDefinition.load(path.read_text()).dump(WHOLE))}
    theirs, written = facts((READ / path.name).read_text()), facts(path.read_text())
    assert {_plain(each) for each in theirs if not _of_the_host(each, written)} - kept == set()


@EACH
def test_what_is_shown_can_be_defined_again_and_is_the_same(path: Path) -> None:
    shown = DomainDefinition.load(path.read_text()).dump(WHOLE)
    assert DomainDefinition.load(shown).dump(WHOLE) == shown


@EACH
def test_what_libvirt_makes_of_it_is_the_same_domain_to_us(path: Path) -> None:
    """Machines are moved over by what their libvirt shows of them."""
    assert problems(DomainDefinition.load((READ / path.name).read_text())) == ()
