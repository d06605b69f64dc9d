"""Authentication by SASL, as the wire has it: which mechanisms there are, one that begins, and its further steps.

Whatever fails is told in the same words; the log says what it was. Who failed has to begin anew, and may do so a few
times on one connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from insula.daemon.afar.certificates import matches
from insula.daemon.authority.authentication import TRIES, Authentication
from insula.daemon.authority.gssapimechanism import NAME as GSSAPI
from insula.daemon.authority.gssapimechanism import GssapiMechanism, Kerberos
from insula.daemon.authority.saslmechanism import SaslAnswer, SaslMechanism, ScramMechanism
from insula.daemon.authority.saslusers import UserFile
from insula.daemon.remotesettings import SaslSettings
from insula.errors import AuthenticationError, ConfigurationError, OperationInvalidError
from insula.rpc.codes.connectioncodes import AuthType
from insula.rpc.scram import HASHES

STEP_SECONDS: Final = 10.0
"""For one step of ours; none waits for anybody but the disk."""
FAILED_SECONDS: Final = 1.0
"""How long a refusal waits, and the place of who failed stays taken: else many passwords could be tried one after
another, if need be by a new connection each."""
REFUSAL: Final = "who you are is not proved, or you may not come"

Mechanisms = Mapping[str, Callable[[], SaslMechanism]]


class SaslOffer:
    """What the settings offer, to all clients. A file of users may be missing where there is a key of Kerberos."""

    def __init__(self, settings: SaslSettings) -> None:
        """Raises: ConfigurationError for a file or a key that cannot be used."""
        self._settings = settings
        self._kerberos = None if settings.keytab is None else Kerberos(settings.keytab)
        self._users: UserFile | None = None
        if settings.keytab is None or settings.credentials.exists():
            self._users = UserFile(settings.credentials)

    def allow(self, settings: SaslSettings) -> None:
        """Let in whom other settings name, from now on."""
        self._settings = settings

    def permits(self, user: str) -> bool:
        """Whether somebody who has proved to be that user may come."""
        allowed = self._settings.allowed_users
        return not allowed or any(matches(user, each) for each in allowed)

    def mechanisms(self, *, secure: bool) -> Mechanisms:
        """Return passwords or tickets, the strongest first. secure: whether something else encrypts the connection.

        Passwords need that. Never both: a client that knows both takes tickets, and gives up if it has none.
        """
        if (file := self._users) is not None and secure:
            return {each: partial(ScramMechanism, each, file) for each in HASHES}
        if (kerberos := self._kerberos) is not None:
            return {GSSAPI: partial(GssapiMechanism, kerberos, secure=secure)}
        return {}


class SaslAuthentication(Authentication):
    """One client's. secure: whether something else encrypts its connection."""

    def __init__(self, offer: SaslOffer, *, secure: bool) -> None:
        super().__init__(AuthType.SASL)
        self._offer = offer
        self._secure = secure
        self._mechanisms: Mechanisms | None = None
        self._mechanism: SaslMechanism | None = None
        self._named = ""
        self._tries = 0
        self._stepping = False

    def mechanisms(self) -> str:
        """Begin: return the names of the mechanisms, as libvirt writes them. Raises: as `start`."""
        self._check()
        if self._tries >= TRIES:
            raise AuthenticationError(f"{TRIES} tries failed: connect again")
        if self._mechanisms is None and not self._tries:
            self.begun()
        self._mechanism = None
        self._mechanisms = self._offer.mechanisms(secure=self._secure)
        return ",".join(self._mechanisms)

    async def start(self, name: str, data: bytes | None) -> SaslAnswer:
        """Begin with one of them. data: what the client says at once, None for nothing.

        Raises: AuthenticationError if it fails; OperationInvalidError while a step is under way.
        """
        self._check()
        mechanisms, self._mechanisms, self._mechanism = self._mechanisms, None, None
        if mechanisms is None:
            raise AuthenticationError("the mechanisms are to be asked for first")
        self._tries += 1
        self._named = name
        if name not in mechanisms:
            raise await self._failure(f"the mechanism {name!r:.40} is not offered")
        self._mechanism = mechanisms[name]()
        return await self._step(self._mechanism, data)

    async def step(self, data: bytes | None) -> SaslAnswer:
        """Go on with what the client says. Raises: as `start`, also when nothing has begun, or it has failed."""
        self._check()
        if self._mechanism is None:
            raise AuthenticationError("no mechanism has begun")
        return await self._step(self._mechanism, data)

    def _check(self) -> None:
        if self.complete:
            raise AuthenticationError("this kind of authentication is not offered here, or is over")
        if self._stepping:
            raise OperationInvalidError("authentication is under way")

    async def _step(self, mechanism: SaslMechanism, data: bytes | None) -> SaslAnswer:
        self._stepping = True
        try:
            async with asyncio.timeout(STEP_SECONDS):
                answer = await mechanism.step(data)
            if answer.complete and not self._offer.permits(mechanism.user):
                raise AuthenticationError("it is not among sasl_allowed_username_list")
        except (AuthenticationError, ConfigurationError, OSError) as error:
            raise await self._failure(_words(error)) from error
        except BaseException:
            self._mechanism = None
            raise
        finally:
            self._stepping = False
        if answer.complete:
            self._mechanism = None
            self.user, self.layer = mechanism.user, mechanism.layer
            self.complete = True
            self.proved()
        return answer

    async def _failure(self, why: str) -> AuthenticationError:
        """Return what the client is told, and that only after a while; meanwhile it may begin nothing."""
        who = "" if self._mechanism is None else f" to be '{self._mechanism.user}'"
        self.failed(f"did not prove{who} by {self._named!r:.40}: {why}")
        self._mechanism = None
        self._stepping = True
        self.place_until = asyncio.get_running_loop().time() + FAILED_SECONDS
        try:
            await asyncio.sleep(FAILED_SECONDS)
        finally:
            self._stepping = False
        return AuthenticationError(REFUSAL)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"a step of ours took longer than {STEP_SECONDS:g} s"
    return str(error)
