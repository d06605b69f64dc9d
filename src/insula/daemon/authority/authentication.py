"""What a client has to prove before it may do anything, and whether it has."""

from collections.abc import Awaitable, Callable
from typing import Final

from insula.daemon.authority.polkit import Polkit, PolkitAnswer, PolkitUnavailableError
from insula.daemon.peers import Peer
from insula.errors import (
    AuthenticationCancelledError,
    AuthenticationError,
    AuthenticationUnavailableError,
    OperationInvalidError,
)
from insula.rpc.codes.connectioncodes import AuthType
from insula.rpc.wrapping import SecurityLayer

MANAGE: Final = "org.libvirt.unix.manage"
MONITOR: Final = "org.libvirt.unix.monitor"
TRIES: Final = 3
"""How often a client may fail on one connection. virsh tries on a new one."""

Proof = Callable[[], Awaitable[None]]
"""Has the client prove who it is. Raises: AuthenticationError."""


class Authentication:
    """One client's. offered: what it may choose from; proof: how it proves who it is, None if nothing is to be proved.

    user: as whom it has proved itself, where that gives it a name of its own. layer: what wraps all else once it has,
    to be taken once. place_until: by the loop's clock, until when its place stays taken though it hangs up.
    begun, proved: called when a proof begins, and when it has succeeded; failed: told what was wrong, for the log.
    """

    def __init__(self, kind: AuthType = AuthType.NONE, proof: Proof | None = None) -> None:
        self.offered = (kind,)
        self.complete = kind is AuthType.NONE
        self.user: str | None = None
        self.begun: Callable[[], None] = lambda: None
        self.proved: Callable[[], None] = lambda: None
        self.failed: Callable[[str], None] = lambda _: None
        self.layer: SecurityLayer | None = None
        self.place_until = 0.0
        self._kind = kind
        self._proof = proof
        self._proving = False
        self._failures = 0

    def take_layer(self) -> SecurityLayer | None:
        """Return what wraps all else from now on, the first time that there is such."""
        layer, self.layer = self.layer, None
        return layer

    async def by(self, kind: AuthType) -> None:
        """Have the client prove who it is.

        Raises: AuthenticationError, also for what was not offered; OperationInvalidError while another proof runs.
        """
        if self._kind is not kind or self._proof is None or self.complete:
            raise AuthenticationError("this kind of authentication is not offered here, or is over")
        if self._proving:
            raise OperationInvalidError("authentication is under way")
        if self._failures >= TRIES:
            raise AuthenticationError(f"{TRIES} tries failed: connect again")
        self._proving = True
        self.begun()
        try:
            await self._proof()
        except AuthenticationError:
            self._failures += 1
            raise
        finally:
            self._proving = False
        self.complete = True
        self.proved()


def by_polkit(polkit: Polkit, peer: Peer, *, read_only: bool) -> Authentication:
    """Return what polkit asks of a local client: nothing of root and of our own user, as libvirt has it."""
    if peer.is_privileged:
        return Authentication()
    action = MONITOR if read_only else MANAGE

    async def prove() -> None:
        try:
            verdict = await polkit.verdict(peer, action, {}, interactive=True)
        except PolkitUnavailableError as error:
            raise AuthenticationError(str(error)) from error
        if verdict is PolkitAnswer.DISMISSED:
            raise AuthenticationCancelledError("user cancelled authentication process")
        if verdict is PolkitAnswer.NOBODY_TO_ASK:
            raise AuthenticationUnavailableError(f"no polkit agent available to authenticate action '{action}'")
        if verdict is PolkitAnswer.NO:
            raise AuthenticationError(f"access denied by policy: polkit says no to '{action}'")

    return Authentication(AuthType.POLKIT, prove)
