"""What tests leave open for the collector is told with those who may have left it, run on sessions of its own."""

import pytest

LEAVES = """
import gc, socket

class Holder:
    pass

def leave():
    holder = Holder()
    holder.itself, holder.socket = holder, socket.socket()
"""


@pytest.fixture
def session(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(
        "from tests.garbage import Garbage\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.register(Garbage(), 'garbage')\n"
    )
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def run(session: pytest.Pytester, code: str) -> pytest.RunResult:
    session.makepyfile(LEAVES + code)
    return session.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:randomly")


def test_a_later_test_is_not_blamed_for_what_one_that_failed_left(session: pytest.Pytester) -> None:
    result = run(
        session,
        """
def test_it():
    gc.disable()
    leave()
    assert False

def test_another():
    gc.enable()
    gc.collect()
""",
    )
    result.assert_outcomes(failed=1, passed=1)


def test_beside_garbage_that_is_found_stands_who_may_have_left_it(session: pytest.Pytester) -> None:
    result = run(
        session,
        """
def test_long_before():
    gc.collect()

def test_before():
    gc.collect()

def test_it():
    gc.disable()
    leave()

def test_between():
    pass

def test_it_is_found_in():
    gc.enable()
    gc.collect()
""",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    heading = " tests since garbage was collected last ".center(80, "-")
    told = result.outlines[result.outlines.index(heading) + 1 :]
    ran = ["test_before", "test_it", "test_between", "test_it_is_found_in"]
    assert [each.partition("::")[2] for each in told[:4]] == ran
