"""Reading and writing domains' documents beside the event loop: a long one takes a good part of a second.

The threads are few and do nothing else: no document ever waits for a guest or a disk.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

SMALL = 4096
"""Characters of a document that are read, and checked, at once: in little more time than it takes to pass them on."""
THREADS = 2

P = ParamSpec("P")
T = TypeVar("T")


class Documents:
    """The threads for documents."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="documents")

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what work returns, done in a thread. Raises: what work raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def read(self, read: Callable[[str], T], document: str) -> T:
        """Return what read makes of a document: at once if it is small. Raises: what read raises."""
        return read(document) if len(document) <= SMALL else await self.aside(read, document)

    def close(self) -> None:
        """Begin nothing more; what runs comes to its end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
