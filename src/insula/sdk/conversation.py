"""What a client says to the daemon, written once for the blocking and the async client.

A conversation is a generator: it yields requests, gets their answers, and returns its outcome. Whoever drives it does
the waiting:

    def state(domain: DomainRef) -> Conversation[State]:
        state, reason = yield from ask(Remote.DOMAIN_GET_STATE, domain, 0)
        return State(DomainState(state), reason)
"""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from insula.errors import AuthenticationError, InternalError, OperationUnsupportedError
from insula.rpc.connection import Stream
from insula.rpc.procedure import Procedure
from insula.rpc.procedures import Remote

if TYPE_CHECKING:
    from insula.sdk.credentials import Credentials
    from insula.sdk.tcpsocket import TcpSocket

T = TypeVar("T")

SYSTEM_URI: Final = "lxc:///system"
"""What a client of libvirt's would ask the daemon for."""
OPEN_READ_ONLY: Final = 1

_AUTH_NONE: Final = 0
_AUTH_SASL: Final = 1
_AUTH_POLKIT: Final = 2


class Request(NamedTuple):
    """One call to be made. fds: descriptors to pass; they stay the caller's."""

    procedure: Procedure
    arguments: tuple[Any, ...]
    fds: Sequence[int] = ()


class Answer(NamedTuple):
    """One call's success. values: the row's named tuple; fds: the receiver's; stream: if the call opened one."""

    values: Any
    fds: tuple[int, ...]
    stream: Stream | None


Conversation = Generator[Request, Answer, T]


def require_passing(request: Request, *, passes_fds: bool) -> None:
    """Refuse a call that passes descriptors where they cannot go along: its answer would never be whole.

    Raises: OperationUnsupportedError.
    """
    if not passes_fds and (request.fds or request.procedure.gives_fds):
        raise OperationUnsupportedError(
            f"{request.procedure.api} passes open files, which needs a connection on the host"
        )


def ask(procedure: Procedure, *positional: Any, **named: Any) -> Conversation[Any]:
    """Call a procedure; return the only value of its results, None if it has none, else their named tuple."""
    answer = yield Request(procedure, procedure.arguments.arrange(positional, named))
    return only(answer.values)


def ask_for(kind: type[T], procedure: Procedure, *arguments: Any) -> Conversation[T]:
    """Like `ask`, for a procedure whose only result is of that kind."""
    value = yield from ask(procedure, *arguments)
    if not isinstance(value, kind):
        raise InternalError(f"{procedure} gives a {type(value).__name__}, not a {kind.__name__}")
    return value


def only(values: Any) -> Any:
    """Return the only one of a call's values, None if there is none, else all."""
    if len(values) > 1:
        return values
    return values[0] if values else None


class Acquaintance(NamedTuple):
    """How a daemon afar and its client get to know each other.

    credentials: what finds a user and a password, should the daemon want them; host: whose ticket of Kerberos counts;
    tcp: the connection, if nothing but a ticket would encrypt it.
    """

    credentials: "Credentials"
    host: str
    tcp: "TcpSocket | None" = None


def greet(*, read_only: bool, acquaintance: Acquaintance | None = None) -> Conversation[None]:
    """Authenticate and open the driver, as every client starts. acquaintance: None with a daemon of this host.

    Raises: AuthenticationError if the daemon wants proof that this client cannot give, or all would go in the clear.
    """
    kinds = yield from ask(Remote.AUTH_LIST)
    if _AUTH_POLKIT in kinds[:1]:
        yield from ask(Remote.AUTH_POLKIT)
    elif _AUTH_SASL in kinds[:1]:
        from insula.sdk.credentials import LOCAL, credentials_for  # only who needs it pays for it
        from insula.sdk.saslconversation import prove

        yield from prove(acquaintance or Acquaintance(credentials_for(LOCAL), LOCAL))
    elif kinds and _AUTH_NONE not in kinds:
        raise AuthenticationError(f"the daemon wants authentication of kind {kinds[0]}, which this client cannot do")
    if acquaintance is not None and acquaintance.tcp is not None and not acquaintance.tcp.is_private:
        raise AuthenticationError(
            f"{acquaintance.host} asks for no ticket of Kerberos, and without one TCP would not be encrypted: "
            "use lxc+tls or lxc+ssh"
        )
    yield from ask(Remote.CONNECT_OPEN, SYSTEM_URI, OPEN_READ_ONLY if read_only else 0)
