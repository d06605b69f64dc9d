"""What the documentation of the SDK shows is run as it stands there."""

import doctest
from pathlib import Path

import pytest

from insula import Container
from insula.engine import container, fileverbs, insideverbs, runningverbs

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")


def test_the_examples_in_docstrings_are_true(busybox_root: Path) -> None:
    globs = {"root": busybox_root, "Container": Container}
    find = doctest.DocTestFinder().find
    documented = (container, fileverbs, insideverbs, runningverbs)
    found = (each for module in documented for each in find(module, module.__name__, globs=globs))
    tests = [each for each in found if each.examples]
    runner = doctest.DocTestRunner()
    said: list[str] = []
    for each in tests:
        runner.run(each, out=said.append)
    assert (runner.summarize(verbose=False).failed, "".join(said)) == (0, "")
    assert len(tests) >= 8
