"""Definitions of any noun change on the disk first; what goes wrong is told in words. Tried with a noun tests have."""

import errno
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from insula.errors import OperationFailedError
from insula.kernel.durable import Commit
from insula.service.definitionchanges import DefinitionChanges
from insula.service.definitionindex import DefinitionIndex
from insula.service.definitions import Definitions, Form
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


@dataclass(frozen=True, kw_only=True)
class Tree:
    name: str
    uuid: UUID


@dataclass(kw_only=True)
class ManagedTree:
    name: str
    notices: list[str] = field(default_factory=list)

    def notice(self, text: str) -> None:
        self.notices.append(text)


OAK = Tree(name="oak", uuid=UUID(int=1))


@pytest.fixture
def definitions(tmp_path: Path) -> Definitions[Tree]:
    form = Form(word="tree", editor="prune", load=lambda text: OAK, dump=lambda tree: str(tree.uuid))
    return Definitions(
        form,
        directory=tmp_path / "trees",
        autostart=tmp_path / "trees/autostart",
        index=DefinitionIndex(tmp_path / "index", "1"),
    )


async def test_what_is_saved_is_there_and_what_is_removed_is_gone(definitions: Definitions[Tree]) -> None:
    changes, oak = DefinitionChanges("tree", definitions), ManagedTree(name="oak")
    await changes.save(oak, OAK)
    await changes.set_autostart(oak, on=True)
    assert [(each.config, each.autostart) for each in definitions.load()] == [(OAK, True)]
    await changes.remove(oak)
    assert definitions.load() == ()
    assert oak.notices == []


async def test_a_disk_that_refuses_is_named_with_what_was_to_be_done(
    definitions: Definitions[Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Commit:
        raise OSError(errno.ENOSPC, "no space")

    for name in ("save", "remove", "set_autostart"):
        monkeypatch.setattr(definitions, name, full)
    changes, oak = DefinitionChanges("tree", definitions), ManagedTree(name="oak")
    with pytest.raises(OperationFailedError, match=r"cannot save the definition of tree 'oak': .*no space"):
        await changes.save(oak, OAK)
    with pytest.raises(OperationFailedError, match="cannot forget tree 'oak'"):
        await changes.remove(oak)
    with pytest.raises(OperationFailedError, match="cannot change whether tree 'oak' starts"):
        await changes.set_autostart(oak, on=True)


async def test_a_change_that_a_loss_of_power_could_undo_has_happened_and_is_noticed(
    definitions: Definitions[Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def unsafe(config: Tree) -> Commit:
        threads.append(threading.get_ident())
        return Commit(unsynced=OSError(errno.EIO, "bad disk"))

    monkeypatch.setattr(definitions, "save", unsafe)
    oak = ManagedTree(name="oak")
    await DefinitionChanges("tree", definitions).save(oak, OAK)

    assert len(oak.notices) == 1 and "not safe there" in oak.notices[0]
    assert threads and threading.get_ident() not in threads


async def test_what_is_done_beside_is_begun_before_the_disk_is_done_and_over_when_a_save_is_or_fails(
    definitions: Definitions[Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, done = threading.Event(), []

    def beside() -> None:
        begun.set()
        time.sleep(0.05)
        done.append(1)

    def failing(config: Tree) -> Commit:
        assert begun.wait(patience(60))
        raise OSError(errno.EIO, "bad disk")

    monkeypatch.setattr(definitions, "save", failing)
    with pytest.raises(OperationFailedError):
        await DefinitionChanges("tree", definitions).save(ManagedTree(name="oak"), OAK, beside=beside)
    assert done == [1]
