"""A program that does nothing is one all the same, and says what a keeper would see."""

from insula.engine.program.disassembly import listed
from insula.engine.program.image import HEADER_SIZE
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.testing.emptyprograms import EmptyPrograms, Performance
from insula.testing.fakelaunch import fake_plan

SPEC = ContainerSpec(name="web", uuid="1", root=DirectoryRoot(path="/srv"), consoles=2)


def test_whatever_enters_does_nothing() -> None:
    program = EmptyPrograms().entering(SPEC, (), permitted=0, most_groups=0)
    assert list(listed(program)) == []
    assert (program.records, program.passed) == (0, ())
    assert Performance.of(program.image) == Performance()


def test_a_first_process_says_whether_it_waits_and_how_many_consoles_it_opens() -> None:
    program = EmptyPrograms().start(SPEC, fake_plan(SPEC), permitted=0, hold=True)
    assert Performance.of(program.image) == Performance(hold=True, consoles=2)


def test_an_image_that_says_nothing_waits_for_nothing() -> None:
    assert Performance.of(bytes(HEADER_SIZE)) == Performance()
