"""The looker of a program without a daemon."""

import signal
from collections.abc import Iterator

import pytest

from insula.engine.look import looking
from insula.engine.look.looking import Sight
from insula.engine.look.privatelooker import PrivateLooker, dismiss, said_next
from insula.errors import OperationTimeoutError
from tests.waiting import scaled

WEB = Sight(whose="1", name="'web'")
CODE = """
import time
from insula.engine.look import looks
from insula.engine.look import looker
def echo(arguments, fds):
    return arguments
def hang(arguments, fds):
    time.sleep(1000)
def gone(arguments, fds):
    raise ProcessLookupError(3, "No such process")
def talk(arguments, fds):
    yield {"opened": 1}
    yield {"opened": 2}
    return "end"
for each in (echo, hang, gone, talk):
    looks.LOOKS[each.__name__] = looks.Look(function=each, capabilities=frozenset())
looker.main()
"""


@pytest.fixture
def looker(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateLooker]:
    monkeypatch.setattr(looking, "_CODE", CODE)
    made = PrivateLooker()
    yield made
    made.close()


def test_one_process_looks_again_and_again(looker: PrivateLooker) -> None:
    assert looker.look(WEB, "echo", {"n": 1}, {}) == {"n": 1}
    assert looker._started is not None
    first = looker._started[1].pid
    with pytest.raises(ProcessLookupError):
        looker.look(WEB, "gone", {}, {})
    looker.start()
    assert looker._started[1].pid == first


def test_a_program_without_a_daemon_does_not_wait_for_ever_either(
    looker: PrivateLooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperationTimeoutError, match="'web' does not answer"):
        looker.look(WEB, "hang", {}, {}, seconds=0.1)


def test_a_looker_that_has_died_is_replaced(looker: PrivateLooker) -> None:
    looker.start()
    assert looker._started is not None
    looker._started[1].send_signal(signal.SIGKILL)
    looker._started[1].wait()
    assert looker.look(WEB, "echo", {}, {}) == {}


def test_what_a_look_says_before_its_result_comes_in_order(looker: PrivateLooker) -> None:
    child = looker.begin("talk", {}, {})
    said = [said_next(child, WEB, scaled(20)).body for _ in range(3)]
    dismiss(child)
    assert said == [{"opened": 1}, {"opened": 2}, {"result": "end"}]
