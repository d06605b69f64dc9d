"""The reference page of the package, which a site is made from by scripts/build-docs."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import insula

PAGE = (Path(__file__).parents[1] / "docs/reference/python.md").read_text()


def resolved(name: str) -> Any:
    """Return what a dotted name means. Raises: AttributeError, ImportError."""
    place, _, last = name.rpartition(".")
    return import_module(name) if last.islower() and place != "insula" else getattr(import_module(place), last)


def test_every_public_name_stands_in_the_reference_once_and_has_a_docstring() -> None:
    told = re.findall(r"^::: (\S+)$", PAGE, flags=re.MULTILINE)
    assert len(told) == len(set(told))
    assert {f"insula.{name}" for name in insula.__all__} == set(told) - {
        "insula.sdk.verbs",
        "insula.sdk.networkconversations",
    }
    undocumented = [each for each in told if not (resolved(each).__doc__ or "").strip() and each != "insula.Bytes"]
    assert undocumented == []
