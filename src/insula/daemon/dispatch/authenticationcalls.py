"""Proving who one is: what is asked for, by polkit or by SASL."""

from typing import Final

from insula.daemon.authority.saslauthentication import SaslAuthentication
from insula.daemon.authority.saslmechanism import SaslAnswer
from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.errors import AuthenticationError
from insula.rpc.codes.connectioncodes import AuthType
from insula.rpc.procedures import Procedure, Remote

_NOTHING: Final = 1
"""What says beside an empty text that there is no text: to SASL these differ."""


def _auth_list(request: IncomingCall) -> Answer:
    return (request.client.authentication.offered,)


async def _polkit(request: IncomingCall) -> Answer:
    await request.client.authentication.by(AuthType.POLKIT)
    return (1,)


def _mechanisms(request: IncomingCall) -> Answer:
    return (_sasl(request).mechanisms(),)


async def _start(request: IncomingCall, mech: str, nil: int, data: bytes) -> Answer:
    return _told(await _sasl(request).start(mech, None if nil else data))


async def _step(request: IncomingCall, nil: int, data: bytes) -> Answer:
    return _told(await _sasl(request).step(None if nil else data))


def _told(answer: SaslAnswer) -> Answer:
    if answer.data is None:
        return int(answer.complete), _NOTHING, b""
    return int(answer.complete), 0, answer.data


def _sasl(request: IncomingCall) -> SaslAuthentication:
    authentication = request.client.authentication
    if not isinstance(authentication, SaslAuthentication):
        raise AuthenticationError("authentication by SASL is not offered")
    return authentication


HANDLERS: dict[Procedure, Handler] = {
    Remote.AUTH_LIST: _auth_list,
    Remote.AUTH_POLKIT: _polkit,
    Remote.AUTH_SASL_INIT: _mechanisms,
    Remote.AUTH_SASL_START: _start,
    Remote.AUTH_SASL_STEP: _step,
}
