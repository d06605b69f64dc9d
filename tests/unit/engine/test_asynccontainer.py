"""What is awaited, as far as it needs no guest; guests are in tests/system/test_async_container.py."""

import inspect
from typing import assert_type

import pytest

from insula import AsyncContainer, Container, ExitStatus
from insula.errors import OperationInvalidError

NOT_AWAITED = {"open", "enter", "popen", "run", "wait", "shutdown", "over", "begin", "ask_init", "plan"}
"""Left out, written out, or told at once."""


def test_every_verb_of_a_container_is_awaited_with_the_same_parameters_and_documentation() -> None:
    verbs = {name for name, each in inspect.getmembers(Container, inspect.isfunction) if not name.startswith("_")}
    for name in verbs - NOT_AWAITED:
        method = getattr(AsyncContainer, name)
        assert inspect.iscoroutinefunction(inspect.unwrap(method, stop=inspect.iscoroutinefunction)), name
        assert inspect.signature(method) == inspect.signature(getattr(Container, name)), name
        assert method.__doc__ == getattr(Container, name).__doc__
    for name in ("popen", "run", "wait", "shutdown"):
        assert inspect.iscoroutinefunction(getattr(AsyncContainer, name))


@pytest.mark.asyncio
async def test_what_does_not_run_cannot_be_worked_with() -> None:
    container = AsyncContainer("/srv/web", name="web")
    for act in (container.stats, container.freeze, container.wait, container.shutdown):
        with pytest.raises(OperationInvalidError, match="'web' does not run"):
            await act()
    assert_type(await container.destroy(), ExitStatus | None)
    with pytest.raises(TypeError, match="one text"):
        await container.run("true")
    with pytest.raises(TypeError, match="the input is a text with text=True"):
        await container.run(["cat"], input="text")  # type: ignore[call-overload]


def test_its_twin_is_the_same_container() -> None:
    container = AsyncContainer("/srv/web")
    assert container.blocking is container.blocking
    assert container.blocking.uuid == container.uuid
