"""What a run has of storage and ids is made at its start, and what cannot be removed stops nobody."""

import errno
import logging
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from insula.errors import OperationInvalidError, StepError
from insula.model.domain import DomainDefinition
from insula.service.runrecord import RunPhase, RunRecord
from insula.service.runstorage import RunStorage
from tests.unit.service.fakepreparation import FakePreparation
from tests.unit.service.fakes import WEB, domain_xml

pytestmark = pytest.mark.asyncio


def record(*, ephemeral: bool = False) -> RunRecord:
    return RunRecord(uuid=WEB, name="web", boot_id="now", phase=RunPhase.STARTING, begun=0, ephemeral=ephemeral)


@pytest.fixture
def preparation(tmp_path: Path) -> FakePreparation:
    return FakePreparation(tmp_path)


@pytest.fixture
def storage(preparation: FakePreparation) -> RunStorage:
    return RunStorage(preparation, lambda name: 1)


@pytest.fixture
def domain() -> DomainDefinition:
    return DomainDefinition.load(domain_xml())


async def test_only_the_first_start_of_a_domain_makes_its_files_in_a_thread(
    storage: RunStorage, preparation: FakePreparation, domain: DomainDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    specify = preparation.specify

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread() is not threading.main_thread())
        return specify(*arguments)

    monkeypatch.setattr(preparation, "specify", watched)
    for _ in range(2):
        await storage.specified(domain, record())
    await storage.discard(WEB)
    await storage.specified(domain, record())
    assert threads == [True, False, True]
    assert storage.is_owned(WEB)


async def test_what_is_to_be_known_of_a_guest_comes_with_what_is_launched(
    storage: RunStorage, preparation: FakePreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (
        "<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'>"
        "<i:device class='kvm' startupPolicy='optional'/></i:domain></metadata>"
        "<memtune><hard_limit unit='TiB'>1</hard_limit></memtune>"
    )
    _, remarks = await storage.specified(DomainDefinition.load(domain_xml(more=more)), record())
    assert [each[:20] for each in remarks] == ["it is without the de", "its hard_limit of 10"]


async def test_a_start_that_failed_as_its_network_was_stopped_names_the_network(
    storage: RunStorage, preparation: FakePreparation, domain: DomainDefinition
) -> None:
    step = StepError("there is no bridge 'virbr7'", step="connect eth0", errno=errno.ENODEV)
    other = OSError(errno.ENOSPC, "no room")
    assert storage.reason(domain, step) is step
    preparation.stopped_network = "lan"
    found = storage.reason(domain, step)
    assert isinstance(found, OperationInvalidError) and found.__cause__ is step
    assert str(found) == (
        "network 'lan' is not active any more (there is no bridge 'virbr7'); start that, and then domain 'web'"
    )
    assert storage.reason(domain, other) is other


async def test_a_root_that_is_to_be_mounted_is_looked_at_in_a_thread_each_time(
    storage: RunStorage, preparation: FakePreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = "<filesystem type='file'><source file='/i.img'/><target dir='/'/></filesystem>"
    text = re.sub("<filesystem.*?</filesystem>", image, domain_xml(), flags=re.DOTALL)
    domain, threads, specify = DomainDefinition.load(text), list[threading.Thread](), preparation.specify

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return specify(*arguments)

    monkeypatch.setattr(preparation, "specify", watched)
    for _ in range(2):
        await storage.specified(domain, record())
    assert len(threads) == 2 and threading.main_thread() not in threads


async def test_what_a_transient_run_makes_is_marked_before_it_is_made(
    storage: RunStorage, preparation: FakePreparation, domain: DomainDefinition
) -> None:
    await storage.specified(domain, record(ephemeral=True))
    assert preparation.doomed(WEB)
    await storage.mark(WEB, ephemeral=False)
    storage.discard_doomed(WEB)
    assert storage.is_owned(WEB), "what is not to vanish stays"
    await storage.mark(WEB, ephemeral=True)
    storage.discard_doomed(WEB)
    assert not storage.is_owned(WEB)


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("discard", f"the storage of domain {WEB} is left behind: full"),
        ("release", f"the ids of domain {WEB} are not given back: full"),
    ],
)
async def test_what_cannot_be_taken_away_is_told_in_the_log_and_stops_nobody(
    storage: RunStorage,
    preparation: FakePreparation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    verb: str,
    told: str,
) -> None:
    def refuse(uuid: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(preparation, verb, refuse)
    await getattr(storage, verb)(WEB)
    assert told in caplog.text


async def test_ids_that_are_not_free_at_the_definition_are_tried_again_at_the_start(
    storage: RunStorage, preparation: FakePreparation, domain: DomainDefinition, caplog: pytest.LogCaptureFixture
) -> None:
    preparation.no_ids = True
    with caplog.at_level(logging.WARNING):
        assert storage.rehearsed(domain) is None
    assert "no ids are reserved for domain 'web' yet: no ids are left" in caplog.text
    await storage.specified(domain, record())
    assert (preparation.ids / str(WEB)).exists()
