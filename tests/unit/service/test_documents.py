"""Documents: long ones are read beside the loop, small ones at once."""

import asyncio
import threading

import pytest

from insula.errors import XmlError
from insula.service.documents import SMALL, Documents


def _thread(document: str) -> str:
    return threading.current_thread().name


def test_long_documents_are_read_in_threads_of_their_own() -> None:
    async def read() -> tuple[str, str]:
        documents = Documents()
        try:
            return await documents.read(_thread, "x" * SMALL), await documents.read(_thread, "x" * (SMALL + 1))
        finally:
            documents.close()

    here, there = asyncio.run(read())
    assert here == threading.current_thread().name
    assert there.startswith("documents")


def test_what_is_wrong_with_a_document_is_told_wherever_it_was_read() -> None:
    def refuse(document: str) -> None:
        raise XmlError("line 1: bad")

    async def read() -> None:
        documents = Documents()
        try:
            await documents.read(refuse, "x" * (SMALL + 1))
        finally:
            documents.close()

    with pytest.raises(XmlError, match="line 1: bad"):
        asyncio.run(read())
