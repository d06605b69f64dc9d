"""Tests of insula.daemon.obtainedkeepers: the living keeper before a new one; an error tells where the log is."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from insula.daemon import obtainedkeepers
from insula.daemon.obtainedkeepers import obtain_keeper_of, older_keepers_of
from insula.engine.keeper.dialects import FORMER_VERSIONS
from insula.engine.launch.systemdscope import Manager
from insula.errors import KeeperError
from insula.layout import Layout
from tests.descriptors import open_fds


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.prefix(tmp_path)
    made.logs.mkdir(parents=True)
    return made


def refuse(*_: Any, **__: Any) -> Any:
    raise KeeperError("the keeper did not start; its log says why")


def test_one_that_lives_is_reached_and_none_started(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(obtainedkeepers, "reach_keeper", lambda path, placed: ours)
    monkeypatch.setattr(obtainedkeepers, "spawn_keeper", refuse)
    assert obtain_keeper_of(layout, Manager.NONE, 1024) is ours
    ours.close()
    theirs.close()


def test_a_new_one_is_given_the_log_and_the_limit(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def spawn(path: Path, *, log: int, soft_limit: int, placed: Any) -> None:
        given.update(path=path, log=os.readlink(f"/proc/self/fd/{log}"), soft_limit=soft_limit)

    ours, theirs = socket.socketpair()
    monkeypatch.setattr(obtainedkeepers, "reach_keeper", refuse)
    monkeypatch.setattr(obtainedkeepers, "spawn_keeper", spawn)
    monkeypatch.setattr(obtainedkeepers, "connect", lambda path: ours)
    before = open_fds()
    assert obtain_keeper_of(layout, Manager.NONE, 4096) is ours
    assert open_fds() == before
    assert given["log"] == str(layout.logs / "keeper.log") and given["soft_limit"] == 4096
    ours.close()
    theirs.close()


def test_one_that_cannot_be_started_tells_where_its_log_is(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obtainedkeepers, "reach_keeper", refuse)
    monkeypatch.setattr(obtainedkeepers, "spawn_keeper", refuse)
    before = open_fds()
    with pytest.raises(KeeperError) as refused:
        obtain_keeper_of(layout, Manager.NONE, 1024)
    assert str(refused.value).endswith(f"its log says why ({layout.logs / 'keeper.log'})")
    assert open_fds() == before


def test_earlier_ones_are_those_that_answer(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()

    def connect(path: Path) -> socket.socket:
        if path != layout.keeper_socket(FORMER_VERSIONS[-1]):
            raise KeeperError("nobody is there")
        return ours

    monkeypatch.setattr(obtainedkeepers, "connect", connect)
    assert older_keepers_of(layout) == {FORMER_VERSIONS[-1]: ours}
    ours.close()
    theirs.close()
