"""Who may log in to a guest: a user's password, and whose ssh keys let in, written into its root.

What is written is the domain's own: its writable layer, or the directory that is its root; an image below is never
touched. A guest that runs is visited for it, one that is off has its root mounted.
"""

import os
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from insula.engine.launch.stoppedroot import stopped_root
from insula.engine.look.looking import Sight
from insula.engine.look.visiting import visiting
from insula.engine.spec import DirectoryRoot, IdMap, IdRange, ImageRoot, Root
from insula.engine.threads import in_own_thread
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError, without_errno
from insula.kernel.passwordhash import PASSWORD_MAX, password_hash
from insula.service.containers import ContainerEngine, Looking, Preparation
from insula.service.managed import ManagedDomain

_HASH = re.compile(r"[!-9;-~]{1,1024}")
"""What a field of the shadow file can hold. Source: crypt(5)."""
_KEYS_MAX = 256 << 10
_WRITING = 30.0
"""Seconds: a sync waits for the disk."""


class AccessVerbs:
    """Changes who may log in."""

    def __init__(self, engine: ContainerEngine, preparation: Preparation, looker: Looking) -> None:
        self._engine = engine
        self._preparation = preparation
        self._looker = looker

    async def set_password(self, managed: ManagedDomain, user: str, password: str, *, hashed: bool) -> None:
        """Set a user's password. hashed: it is given as crypt(5) has it.

        Raises: OperationInvalidError if the domain is paused; InvalidArgumentError; OperationFailedError with the
        reason; OperationTimeoutError if its file system does not answer.
        """
        _check_user(user)
        if hashed and not _HASH.fullmatch(password):
            raise InvalidArgumentError("that is no hash of a password: crypt(5) tells what one looks like")
        if not hashed and (not 0 < len(password.encode()) <= PASSWORD_MAX or not password.isprintable()):
            raise InvalidArgumentError(f"a password has 1 to {PASSWORD_MAX} bytes, and nothing invisible")
        value = password if hashed else await in_own_thread(partial(password_hash, password))
        await self._changed(managed, f"the password of '{user}'", "set-password", {"user": user, "hash": value})

    async def keys(self, managed: ManagedDomain, user: str) -> list[str]:
        """Return whose ssh keys let in as a user, a line each. Raises: as set_password."""
        _check_user(user)
        found: list[str] = await self._changed(managed, f"the keys of '{user}'", "read-keys", {"user": user})
        return [line for line in map(str.strip, found) if line and not line.startswith("#")]

    async def set_keys(
        self, managed: ManagedDomain, user: str, keys: Sequence[str], *, append: bool = False, remove: bool = False
    ) -> None:
        """Let keys be those that let in as a user; append: besides those that do; remove: no more.

        Raises: as set_password.
        """
        _check_user(user)
        if append and remove:
            raise InvalidArgumentError("keys are either appended or removed")
        if not keys and (append or remove):
            raise InvalidArgumentError("no keys are given")
        for key in keys:
            if not key.strip() or not key.isprintable():
                raise InvalidArgumentError("a public key is one line, and has nothing invisible")
        if sum(len(each.encode()) + 1 for each in keys) > _KEYS_MAX:
            raise InvalidArgumentError(f"there are more than {_KEYS_MAX} bytes of keys")
        what = f"the keys of '{user}'"

        async def change(look: "PerformLook") -> None:
            kept: list[str] = [] if not append and not remove else await look("read-keys", {"user": user})
            if remove:
                lines = [line for line in kept if line.strip() not in keys]
            else:
                lines = [*kept, *(each for each in dict.fromkeys(keys) if each not in kept)]
            await look("write-keys", {"user": user, "lines": lines})

        await self._locked(managed, what, change)

    async def _changed(self, managed: ManagedDomain, what: str, look: str, arguments: Mapping[str, Any]) -> Any:
        return await self._locked(managed, what, lambda perform: perform(look, arguments))

    async def _locked(self, managed: ManagedDomain, what: str, change: "_Change") -> Any:
        """Perform a change in the root while nothing else happens to the domain."""

        async def work() -> Any:
            try:
                if managed.is_active:
                    container = managed.require_run().container
                    with visiting(container) as (whom, fds):
                        look = partial(self._look, managed, "-inside", {**whom, "ids": None}, fds)
                        return await managed.lock.unless_overtaken(change(look))
                if managed.ended_record is not None:
                    raise OperationInvalidError(f"domain '{managed.name}' is still being taken down: try again")
                root, idmap = await in_own_thread(partial(self._preparation.root, managed.require_config()))
                tree = await in_own_thread(
                    partial(stopped_root, root, detached_layers=self._engine.facts.detached_layers)
                )
                try:
                    look = partial(self._look, managed, "", {"ids": _ids(root, idmap)}, {"root": tree})
                    return await managed.lock.unless_overtaken(change(look))
                finally:
                    os.close(tree)
            except OSError as error:
                raise OperationFailedError(
                    f"{what} in domain '{managed.name}' cannot be had: {without_errno(str(error))}"
                ) from error

        return await managed.lock.perform("change of access", work)

    async def _look(
        self,
        managed: ManagedDomain,
        where: str,
        whom: Mapping[str, Any],
        fds: Mapping[str, int],
        look: str,
        arguments: Mapping[str, Any],
    ) -> Any:
        sight = Sight(whose=str(managed.uuid), name=f"domain '{managed.name}'")
        return await self._looker.look(sight, f"{look}{where}", {**whom, **arguments}, fds, seconds=_WRITING)


PerformLook = Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, Any]]
_Change = Callable[[PerformLook], Coroutine[Any, Any, Any]]


def _check_user(user: str) -> None:
    if not user or not user.isprintable() or set(user) & set(":/"):
        raise InvalidArgumentError(f"{user!r} names no user")


def _ids(root: Root, idmap: IdMap | None) -> dict[str, list[tuple[int, int, int]]] | None:
    """How the ids of the root's files differ from those that the guest sees; None if they do not."""
    if idmap is None or not isinstance(root, DirectoryRoot | ImageRoot) or root.idmapped:
        return None
    return {"uids": _ranges(idmap.uids), "gids": _ranges(idmap.gids)}


def _ranges(ranges: Sequence[IdRange]) -> list[tuple[int, int, int]]:
    return [(each.inside, each.outside, each.count) for each in ranges]
