"""When the interpreter does not look for garbage: while much is made at once that stays.

Its looks go through all that there is, again each time there is a quarter more.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unsearched() -> Iterator[None]:
    """Have nothing looked for meanwhile, nor ever among what is there at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
