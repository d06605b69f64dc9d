"""A way to prove who one is by SASL: some messages to and fro, then a name, and maybe how all else is wrapped."""

from dataclasses import dataclass
from typing import Protocol

from insula.daemon.authority.saslusers import UserFile
from insula.engine.threads import in_own_thread
from insula.errors import AuthenticationError
from insula.rpc.scram import ScramServer
from insula.rpc.wrapping import SecurityLayer


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslAnswer:
    """What the client is told next, None for nothing. complete: it has proved who it is, as far as we are concerned."""

    data: bytes | None
    complete: bool = False


class SaslMechanism(Protocol):
    """One client's proof."""

    @property
    def user(self) -> str:
        """As whom it wants to be known; proved once a step said complete."""

    @property
    def layer(self) -> SecurityLayer | None:
        """What wraps all else from then on."""

    async def step(self, data: bytes | None) -> SaslAnswer:
        """Take what the client said. Raises: AuthenticationError: then it has failed."""


class ScramMechanism:
    """By a password, of which a file of users keeps what proves it."""

    layer = None

    def __init__(self, mechanism: str, file: UserFile) -> None:
        self._mechanism = mechanism
        self._file = file
        self._server = ScramServer(mechanism)
        self._asked = False

    @property
    def user(self) -> str:
        """See `SaslMechanism`."""
        return self._server.user

    async def step(self, data: bytes | None) -> SaslAnswer:
        """See `SaslMechanism`. Raises: ConfigurationError while the file of users cannot be used."""
        if data is None:
            raise AuthenticationError("a message is missing")
        if self._asked:
            return SaslAnswer(data=self._server.judge(data), complete=True)
        user = self._server.named(data)
        users = await in_own_thread(self._file.users)
        self._asked = True
        return SaslAnswer(data=self._server.ask(users.of(user, self._mechanism)))
