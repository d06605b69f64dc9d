"""A program that does nothing is one all the same."""

from insula.engine.program.image import HEADER, MAGIC
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.testing.emptyprograms import EMPTY, NOTHING, EmptyPrograms


def test_whatever_enters_does_nothing() -> None:
    spec = ContainerSpec(name="web", uuid="1", root=DirectoryRoot(path="/srv"))
    assert EmptyPrograms().entering(spec, (), permitted=0, most_groups=0) is EMPTY
    assert HEADER.unpack(NOTHING[: HEADER.size])[0] == MAGIC
    assert (EMPTY.records, EMPTY.passed) == (0, ())
