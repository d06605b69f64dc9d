"""Who may log in to a domain that is off: what is asked of the look, and what is refused before."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from insula.errors import InvalidArgumentError, OperationAbortedError, OperationFailedError, OperationInvalidError
from insula.service import guestaccess
from insula.service.guestaccess import AccessVerbs
from tests.unit.service.fakes import Rig, domain_xml
from tests.waiting import patience

pytestmark = pytest.mark.asyncio

KEY, OTHER = "ssh-ed25519 AAAA ann", "ssh-rsa BBBB bob"


class _Looker:
    """Remembers what it was asked; keys: there are."""

    def __init__(self, keys: list[str] | OSError) -> None:
        self.keys = keys
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def look(self, sight: object, look: str, arguments: Any, fds: Any, *, seconds: float | None = 5.0) -> Any:
        os.fstat(fds["init" if look.endswith("-inside") else "root"])
        self.asked.append((look, dict(arguments)))
        if isinstance(self.keys, OSError):
            raise self.keys
        return self.keys if look == "read-keys" else None


@pytest.fixture
def verbs(rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[AccessVerbs, _Looker]:
    looker = _Looker(["# comment", f" {KEY} ", ""])
    monkeypatch.setattr(guestaccess, "stopped_root", lambda root, detached_layers: os.open(tmp_path, os.O_PATH))
    return AccessVerbs(rig.engine, rig.preparation, looker), looker


async def test_a_password_is_hashed_here_and_a_hash_is_taken_as_it_is(
    rig: Rig, verbs: tuple[AccessVerbs, _Looker]
) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    access, looker = verbs
    await access.set_password(managed, "root", "secret", hashed=False)
    await access.set_password(managed, "web", "$6$salt$hash", hashed=True)
    (first, how), second = looker.asked
    assert first == "set-password" and how["user"] == "root" and how["hash"].startswith("$6$rounds=")
    assert second == ("set-password", {"user": "web", "hash": "$6$salt$hash", "ids": None})


async def test_keys_are_read_added_once_taken_away_and_replaced(rig: Rig, verbs: tuple[AccessVerbs, _Looker]) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    access, looker = verbs
    assert await access.keys(managed, "root") == [KEY]
    looker.keys = [KEY]
    await access.set_keys(managed, "root", [OTHER, KEY, OTHER], append=True)
    await access.set_keys(managed, "root", [KEY], remove=True)
    await access.set_keys(managed, "root", [OTHER])
    assert [how["lines"] for look, how in looker.asked if look == "write-keys"] == [[KEY, OTHER], [], [OTHER]]


async def test_a_guest_that_runs_is_visited_and_one_that_is_paused_is_not(
    rig: Rig, verbs: tuple[AccessVerbs, _Looker]
) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.start(managed.ref)
    access, looker = verbs
    await access.set_password(managed, "root", "$6$salt$hash", hashed=True)
    pid = managed.require_run().container.pid
    (look, how), *_ = looker.asked
    assert (look, how["pid"], how["ids"], how["hash"]) == ("set-password-inside", pid, None, "$6$salt$hash")
    await rig.domains.suspend(managed.ref)
    with pytest.raises(OperationInvalidError, match="is paused"):
        await access.set_keys(managed, "root", [KEY])
    assert len(looker.asked) == 1


@pytest.mark.parametrize("user", ["", "a:b", "a\nb", "../x"])
async def test_what_names_no_user_is_refused(rig: Rig, verbs: tuple[AccessVerbs, _Looker], user: str) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    with pytest.raises(InvalidArgumentError, match="names no user"):
        await verbs[0].set_password(managed, user, "secret", hashed=False)


@pytest.mark.parametrize(("password", "hashed"), [("", False), ("a\nb", False), ("a" * 513, False), ("a:b", True)])
async def test_what_is_no_password_is_refused(
    rig: Rig, verbs: tuple[AccessVerbs, _Looker], password: str, *, hashed: bool
) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    with pytest.raises(InvalidArgumentError):
        await verbs[0].set_password(managed, "root", password, hashed=hashed)


@pytest.mark.parametrize("keys", [["a\nb"], [" "], ["ssh-rsa " + "A" * (256 << 10)]])
async def test_what_is_no_key_is_refused(rig: Rig, verbs: tuple[AccessVerbs, _Looker], keys: list[str]) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    with pytest.raises(InvalidArgumentError):
        await verbs[0].set_keys(managed, "root", keys)


async def test_why_it_failed_is_told_of_the_domain(rig: Rig, verbs: tuple[AccessVerbs, _Looker]) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    verbs[1].keys = OSError(2, "the guest has no user 'x'")
    with pytest.raises(OperationFailedError, match=r"the password of 'x' in domain '.*' cannot be had: the guest has"):
        await verbs[0].set_password(managed, "x", "secret", hashed=False)


async def test_a_guest_that_holds_a_change_up_is_destroyed_all_the_same(
    rig: Rig, verbs: tuple[AccessVerbs, _Looker]
) -> None:
    managed = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    access, looker = verbs
    asked = asyncio.Event()

    async def never(*_: Any, **__: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    looker.look = never  # type: ignore[method-assign]
    changing = asyncio.create_task(access.set_password(managed, "root", "$6$salt$hash", hashed=True))
    await asked.wait()
    await asyncio.wait_for(rig.domains.destroy(managed.ref), patience(5))
    with pytest.raises(OperationAbortedError, match="destroy of domain 'web' came meanwhile"):
        await changing
