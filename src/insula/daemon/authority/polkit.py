"""The host's polkit, asked over the system bus whether a local process may do something.

The question names the process by pid, start time and user, as the kernel vouched for them when it connected; polkit
compares, so no later process with the same pid is meant. Nothing waits without an end: each question has a deadline,
and one that nobody waits for any more is taken back, so that no window stays open on a screen.
Source: polkit's reference manual, org.freedesktop.PolicyKit1.Authority.
"""

import asyncio
import itertools
import os
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from insula.daemon.peers import Account, Peer
from insula.engine.launch.systembus import BusError, SystemBus
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError

if TYPE_CHECKING:
    from jeepney import Message

ANSWER_SECONDS: Final = 25.0
"""For an answer that needs nobody to be asked."""
PERSON_SECONDS: Final = 120.0
"""For a person who types a password."""
QUESTIONS_AT_ONCE: Final = 64
"""Fewer than the 128 answers that a system bus lets one connection wait for."""
QUESTIONS_OF_ONE_ACCOUNT: Final = 16
_MAY_ASK_A_PERSON: Final = 1


class PolkitAnswer(Enum):
    """What polkit said."""

    YES = "yes"
    NO = "no"
    NOBODY_TO_ASK = "a person would have to be asked, and no agent is there for that"
    DISMISSED = "the person who was asked declined"


class PolkitUnavailableError(InsulaError):
    """Polkit gave no verdict: it is not there, does not answer, or does not know the action."""


class Polkit:
    """Asks polkit. Root and this daemon's own user are never asked about, as polkit itself would let them."""

    def __init__(self, bus: SystemBus | None = None) -> None:
        self._bus = bus or SystemBus()
        self._numbers = itertools.count(1)
        self._all = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._of_account: WeakValueDictionary[Account, asyncio.Semaphore] = WeakValueDictionary()

    def close(self) -> None:
        """End the connection to the bus; questions under way fail."""
        self._bus.close()

    async def verdict(self, peer: Peer, action: str, details: Mapping[str, str], *, interactive: bool) -> PolkitAnswer:
        """Return whether the peer may do what the action's name stands for.

        details: what is told of the object; interactive: whether a person may be asked meanwhile.
        Raises: PolkitUnavailableError, also for a peer that no process is known of.
        """
        if peer.is_privileged:
            return PolkitAnswer.YES
        if peer.pid is None or peer.born is None:
            raise PolkitUnavailableError("polkit decides about local processes, and no living one is known here")
        account = self._of_account.setdefault(peer.account, asyncio.Semaphore(QUESTIONS_OF_ONE_ACCOUNT))
        async with account, self._all:
            return await self._ask(peer, action, details, interactive=interactive)

    async def _ask(self, peer: Peer, action: str, details: Mapping[str, str], *, interactive: bool) -> PolkitAnswer:
        cancellation = f"insulad-{os.getpid()}-{next(self._numbers)}"
        seconds = PERSON_SECONDS if interactive else ANSWER_SECONDS
        question = _question(peer, action, details, cancellation, interactive=interactive)
        asking = in_own_thread(lambda: self._bus.call(question, seconds))
        try:
            async with asyncio.timeout(seconds + 1):
                ((authorized, challenge, told),) = await asking
        except BusError as error:
            if "has not answered" in str(error):
                self._take_back(cancellation)
            raise PolkitUnavailableError(f"polkit cannot be asked about '{action}': {error}") from error
        except TimeoutError as error:
            self._take_back(cancellation)
            raise PolkitUnavailableError(f"polkit has not answered for {seconds:g} s") from error
        except asyncio.CancelledError:
            self._take_back(cancellation)
            raise
        if authorized:
            return PolkitAnswer.YES
        if told.get("polkit.dismissed"):
            return PolkitAnswer.DISMISSED
        return PolkitAnswer.NOBODY_TO_ASK if challenge else PolkitAnswer.NO

    def _take_back(self, cancellation: str) -> None:
        """Tell polkit that nobody waits for an answer any more; whether it listens does not matter."""
        message = _call("CancelCheckAuthorization", "s", cancellation)
        taking_back = asyncio.ensure_future(in_own_thread(lambda: self._bus.call(message, ANSWER_SECONDS)))
        taking_back.add_done_callback(lambda each: each.cancelled() or each.exception())


def _question(
    peer: Peer, action: str, details: Mapping[str, str], cancellation: str, *, interactive: bool
) -> "Message":
    process = {"pid": ("u", peer.pid), "start-time": ("t", peer.born), "uid": ("i", peer.uid)}
    flags = _MAY_ASK_A_PERSON if interactive else 0
    subject = ("unix-process", process)
    return _call("CheckAuthorization", "(sa{sv})sa{ss}us", subject, action, dict(details), flags, cancellation)


def _call(method: str, signature: str, *body: Any) -> "Message":
    from jeepney import DBusAddress, new_method_call

    authority = DBusAddress(
        "/org/freedesktop/PolicyKit1/Authority",
        bus_name="org.freedesktop.PolicyKit1",
        interface="org.freedesktop.PolicyKit1.Authority",
    )
    return new_method_call(authority, method, signature, body)
