"""A short run of what is fuzzed at the sockets of a real daemon and a real keeper; see tests/fuzz."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.fuzz import live
from tests.fuzz.campaign import run
from tests.fuzz.target import One, Target
from tests.fuzz.targets import target
from tests.guests import Guests
from tests.insulad import Insulad

SEED = 6


def found(each: Target) -> str:
    result = run(each, SEED, count=each.count)
    return "\n".join(f"{find.place}: {find.text}: {find.data!r}" for find in result.finds.values())


def test_whatever_clients_send_the_daemon_answers_others_and_calls_nothing_unexpected(insulad: Insulad) -> None:
    @contextmanager
    def world() -> Iterator[One]:
        one = live.Sockets(insulad)
        yield one
        one.close()

    assert not found(replace(target("sockets"), world=world))


def test_whatever_comes_to_its_socket_the_keeper_serves_others(guests: Guests) -> None:
    @contextmanager
    def world() -> Iterator[One]:
        one = live.Keeper(guests)
        yield one
        one.look()

    assert not found(replace(target("keeper"), world=world))
