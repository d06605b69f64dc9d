"""What keepers of earlier versions say, in the words of today's: one function a version.

A keeper that holds guests is never upgraded. It is asked about those only, by verbs whose requests have not changed:
hello, fetch, kill, forget, keep, proceed, quit, ping. What a new guest or an entering process needs goes to a keeper of
today's version.
"""

from collections.abc import Callable, Mapping
from typing import Any

from insula.engine.keeper.protocol import VERSION

Body = dict[str, Any]


def _from_first(body: Body) -> Body:
    """Version 1 told how far a process has come as its `stage`."""
    return {
        ("state" if key == "stage" else key): [_from_first(each) for each in value]
        if key in ("guests", "executions")
        else value
        for key, value in body.items()
    }


TRANSLATIONS: Mapping[int, Callable[[Body], Body]] = {1: _from_first}
"""By version: an answer's or event's body as a keeper of today would give it."""

FORMER_VERSIONS = tuple(range(1, VERSION))
