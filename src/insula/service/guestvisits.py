"""Looks that visit a domain's guest, as its root and under its limits: see `engine.look.visit`."""

from collections.abc import Mapping
from typing import Any

from insula.engine.look.looking import PATIENCE, Sight
from insula.engine.look.visiting import visiting
from insula.errors import OperationFailedError, without_errno
from insula.service.containers import Looking
from insula.service.managed import ManagedDomain


class GuestVisits:
    """Visits guests."""

    def __init__(self, looker: Looking) -> None:
        self._looker = looker

    async def look(
        self,
        managed: ManagedDomain,
        look: str,
        arguments: Mapping[str, Any],
        *,
        frozen: bool = False,
        seconds: float = PATIENCE,
    ) -> Any:
        """Return what a look of `looks.LOOKS` sees. frozen: the guest may stand still, and its limits do not count.

        Raises: OperationInvalidError if it is off, or paused; OperationTimeoutError if its file system does not answer;
        OperationFailedError for any other reason.
        """
        container = managed.require_run().container
        name = f"domain '{managed.name}'"
        try:
            with visiting(container, frozen=frozen) as (whom, fds):
                sight = Sight(whose=container.uuid, name=name)
                return await self._looker.look(sight, look, {**whom, **arguments}, fds, seconds=seconds)
        except OSError as error:
            raise OperationFailedError(f"{name} cannot be looked into: {without_errno(str(error))}") from error
