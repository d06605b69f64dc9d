"""Whose garbage a failure tells of: it is collected at some time, mostly in a later test than the one that left it.

What a test that failed left open is reachable from its failure, so nobody could close it before that was told: it is
thrown away with the failure, and no later test is blamed. What else is found as garbage fails the test that is running
then, as ever; beside that failure stands which tests ran since the garbage was collected last.
"""

import gc
import sys
from collections.abc import Generator

import pytest

_FOUND = "PytestUnraisableExceptionWarning"
_MOST = 40


class Garbage:
    """A plugin of pytest's."""

    def __init__(self) -> None:
        self._since: list[str] = []
        self._suspects: list[str] = []
        """Who ran before the present test's first collection, since the last one before it."""
        self._failed = False
        gc.callbacks.append(self.collected)

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """For `gc.callbacks`: forget the tests before, whose garbage is gone; the present one goes on."""
        if phase == "stop" and info["generation"] == 2:
            self._suspects = self._suspects or [*self._since]
            del self._since[:-1]

    def pytest_unconfigure(self) -> None:
        gc.callbacks.remove(self.collected)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Throw away what a test that failed left, once its failure is told."""
        self._since.append(item.nodeid)
        self._failed, self._suspects = False, []
        result = yield
        if self._failed:
            throw_away()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell beside garbage that was found whose it can be."""
        report = yield
        if report.failed:
            self._failed = True
            if _FOUND in report.longreprtext:
                ran = self._suspects or self._since
                names = [f"({len(ran) - _MOST} before)"] * (len(ran) > _MOST) + ran[-_MOST:]
                report.sections.append(("tests since garbage was collected last", "\n".join(names)))
        return report


def throw_away() -> None:
    """Collect what is reachable from the last failure only, and say nothing of what was open in it."""
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)
    told = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = told
