"""A host with two domains, as answers of a fake server: enough for what virsh and libvirt-python are asked here."""

import os
import threading
from collections.abc import Mapping

from insula.errors import DomainNotFoundError, InternalError, OperationInvalidError
from insula.model.numbers import ParameterType
from insula.rpc.connection import Call, Connection, StreamData, StreamFinish
from insula.rpc.procedures import Lxc, Procedure, Remote
from insula.rpc.wiretypes import DomainRef, TypedParameter
from tests.fakeserver import Answer, FakeSession, StreamEvent, replying

WEB = DomainRef("web", bytes(range(16)), os.getpid())
DATABASE = DomainRef("databank-ä", bytes(range(16, 32)))
DOMAINS = (WEB, DATABASE)
LIFECYCLE_CALLBACK = 9

CAPABILITIES = "<capabilities><host><cpu><arch>x86_64</arch></cpu></host></capabilities>"
XML = "<domain type='lxc' id='7'><name>web</name><devices><console type='pty'/></devices></domain>"


def state(session: FakeSession, call: Call) -> None:
    session.connection.reply(call, *((1, 1) if call.arguments.dom.name == "web" else (5, 2)))


def by_name(session: FakeSession, call: Call) -> None:
    name = call.arguments.name
    for domain in DOMAINS:
        if domain.name == name:
            session.connection.reply(call, domain)
            return
    raise DomainNotFoundError(f"no domain with matching name '{name}'")


def destroy(session: FakeSession, call: Call) -> None:
    if call.arguments.dom.name != "web":
        raise OperationInvalidError("domain is not running")
    session.connection.reply(call)


def memory_parameters(session: FakeSession, call: Call) -> None:
    """The two calls of every getter: first how many, then all."""
    parameters = [
        TypedParameter("hard_limit", ParameterType.ULLONG, 2048),
        TypedParameter("soft_limit", ParameterType.ULLONG, 1024),
    ]
    session.connection.reply(call, parameters[: call.arguments.nparams], len(parameters))


def register(session: FakeSession, call: Call) -> None:
    """Every event may be registered for; to who wants lifecycle ones, a start and a stop are told a moment later.

    Not at once: libvirt's library drops what arrives before it has noted the callback.
    """
    callback = LIFECYCLE_CALLBACK + call.arguments.eventID
    session.connection.reply(call, callback)
    if call.arguments.eventID == 0:
        threading.Timer(0.3, lambda: session.do(lambda wire: tell(wire, callback))).start()


def tell(wire: Connection, callback: int) -> None:
    wire.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, callback, (WEB, 2, 0))
    wire.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, callback, (DATABASE, 5, 1))


def console(session: FakeSession, call: Call) -> None:
    stream = session.open_stream(call, typed)
    session.connection.send_data(stream, b"login: ")


def typed(session: FakeSession, event: StreamEvent) -> None:
    """Shout what is typed; end at `bye`, break at `crash`."""
    if isinstance(event, StreamData):
        session.connection.send_data(event.stream, event.data.upper())
        if b"bye" in event.data:
            session.connection.send_eof(event.stream)
        if b"crash" in event.data:
            session.connection.abort(event.stream, InternalError("the guest is gone"))
    elif isinstance(event, StreamFinish):
        session.connection.finish(event.stream)


def namespaces(session: FakeSession, call: Call) -> None:
    """The namespaces of the process whose id the domain has."""
    fds = [os.open(f"/proc/{call.arguments.dom.id}/ns/{kind}", os.O_RDONLY) for kind in ("uts", "ipc", "net")]
    session.connection.reply(call, fds=fds)
    session.do(lambda _: None)
    for fd in fds:
        os.close(fd)


ANSWERS: Mapping[Procedure, Answer] = {
    Remote.CONNECT_GET_TYPE: replying("LXC"),
    Remote.CONNECT_GET_VERSION: replying(6_018_000),
    Remote.CONNECT_GET_LIB_VERSION: replying(11_003_000),
    Remote.CONNECT_GET_HOSTNAME: replying("host.example"),
    Remote.CONNECT_GET_CAPABILITIES: replying(CAPABILITIES),
    Remote.CONNECT_LIST_ALL_DOMAINS: replying(DOMAINS, len(DOMAINS)),
    Remote.NODE_GET_INFO: replying(b"x86_64", 4_194_304, 4, 2000, 1, 1, 2, 2),
    Remote.NODE_GET_SECURITY_MODEL: replying(b"none\0", b"0\0"),
    Remote.DOMAIN_LOOKUP_BY_NAME: by_name,
    Remote.DOMAIN_LOOKUP_BY_UUID: replying(WEB),
    Remote.DOMAIN_LOOKUP_BY_ID: replying(WEB),
    Remote.DOMAIN_GET_STATE: state,
    Remote.DOMAIN_GET_INFO: replying(1, 2048, 1024, 2, 5_000_000_000),
    Remote.DOMAIN_GET_OS_TYPE: replying("exe"),
    Remote.DOMAIN_IS_ACTIVE: replying(1),
    Remote.DOMAIN_IS_PERSISTENT: replying(1),
    Remote.DOMAIN_GET_AUTOSTART: replying(0),
    Remote.DOMAIN_HAS_MANAGED_SAVE_IMAGE: replying(0),
    Remote.DOMAIN_GET_SECURITY_LABEL: replying(b"\0", 0),
    Remote.DOMAIN_GET_XML_DESC: replying(XML),
    Remote.DOMAIN_GET_MEMORY_PARAMETERS: memory_parameters,
    Remote.DOMAIN_INTERFACE_ADDRESSES: replying([("eth0", "52:54:00:00:00:01", [(0, "10.0.0.2", 24)])]),
    Remote.DOMAIN_DESTROY: destroy,
    Remote.DOMAIN_OPEN_CONSOLE: console,
    Remote.CONNECT_GET_ALL_DOMAIN_STATS: replying(
        [
            (
                WEB,
                [
                    TypedParameter("vcpu.current", ParameterType.UINT, 2),
                    TypedParameter("net.0.name", ParameterType.STRING, "eth0"),
                ],
            )
        ]
    ),
    Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: register,
    Lxc.DOMAIN_OPEN_NAMESPACE: namespaces,
}
