"""Names of bridges, chosen as libvirt chooses them. Pure but for whom it asks."""

import re
from collections.abc import Callable, Container
from itertools import count

from insula.errors import OperationFailedError

PATTERN = "virbr%d"
_CHOSEN = re.compile(r"virbr[0-9]+\Z")
_MOST = 10_000


def was_chosen(name: str) -> bool:
    """Whether a name looks like one that was chosen for its being free, and not for what else refers to it."""
    return _CHOSEN.match(name) is not None


def free_name(pattern: str, taken: Container[str], is_there: Callable[[str], bool]) -> str:
    """Return the name with the lowest free number. pattern: with one `%d`; is_there: whether the host has such a link.

    Raises: OperationFailedError if the first ten thousand are taken.
    """
    for number in count() if "%d" in pattern else ():
        name = pattern.replace("%d", str(number), 1)
        if name not in taken and not is_there(name):
            return name
        if number > _MOST:
            break
    raise OperationFailedError(f"no name of the form {pattern} is free for a bridge")
