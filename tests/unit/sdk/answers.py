"""The answers of a small host with one domain, for tests of the clients."""

import os
from collections.abc import Mapping

from insula.errors import DomainNotFoundError, OperationFailedError
from insula.rpc.connection import Call, StreamData, StreamFinish
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from tests.fakeserver import Answer, FakeSession, StreamEvent, replying

WEB = DomainRef("web", bytes(range(16)), -1)
RUNNING = WEB._replace(id=7)


def by_name(session: FakeSession, call: Call) -> None:
    if call.arguments.name != WEB.name:
        raise DomainNotFoundError(f"no domain with matching name '{call.arguments.name}'")
    session.connection.reply(call, WEB)


def start(session: FakeSession, call: Call) -> None:
    session.connection.reply(call, RUNNING)
    session.connection.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 5, (RUNNING, 2, 0))
    session.connection.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 5, (RUNNING, 99, 0))


def destroy(session: FakeSession, call: Call) -> None:
    session.connection.reply(call)
    session.connection.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 5, (WEB, 5, 1))


def execute(session: FakeSession, call: Call) -> None:
    """Write the request to its standard output, or give the reading end of a pipe that holds it."""
    request = call.arguments.request.encode()
    given = []
    if call.fds:
        os.write(call.fds[1], request)
        for fd in call.fds:
            os.close(fd)
    else:
        reader, writer = os.pipe()
        os.write(writer, request)
        os.close(writer)
        given = [reader]
    session.connection.reply(call, 31, 4711, fds=given)
    session.do(lambda _: None)  # so that it has been sent before the pipe is closed
    for fd in given:
        os.close(fd)


def console(session: FakeSession, call: Call) -> None:
    """Greet, then send back what is typed."""
    stream = session.open_stream(call, echo)
    session.connection.send_data(stream, b"login: ")


def echo(session: FakeSession, event: StreamEvent) -> None:
    if isinstance(event, StreamData):
        session.connection.send_data(event.stream, event.data)
        if event.data == b"\x04":
            session.connection.send_eof(event.stream)
        if event.data == b"crash":
            session.connection.abort(event.stream, OperationFailedError("the guest is gone"))
    elif isinstance(event, StreamFinish):
        session.connection.finish(event.stream)


def log(session: FakeSession, call: Call) -> None:
    stream = session.open_stream(call, echo)
    for line in (b"one\n", b"two\n"):
        session.connection.send_data(stream, line)
    session.connection.send_eof(stream)


def upload(session: FakeSession, call: Call) -> None:
    session.open_stream(call, swallow)


def swallow(session: FakeSession, event: StreamEvent) -> None:
    """Take all, and confirm the finish."""
    if isinstance(event, StreamFinish):
        session.connection.finish(event.stream)


ANSWERS: Mapping[Procedure, Answer] = {
    Remote.CONNECT_LIST_ALL_DOMAINS: replying([WEB], 1),
    Remote.DOMAIN_LOOKUP_BY_NAME: by_name,
    Remote.DOMAIN_LOOKUP_BY_UUID: replying(WEB),
    Remote.DOMAIN_LOOKUP_BY_ID: replying(RUNNING),
    Remote.DOMAIN_DEFINE_XML_FLAGS: replying(WEB),
    Remote.DOMAIN_CREATE_XML: replying(RUNNING),
    Remote.DOMAIN_CREATE_WITH_FLAGS: start,
    Remote.DOMAIN_DESTROY_FLAGS: destroy,
    Remote.DOMAIN_SHUTDOWN_FLAGS: replying(),
    Remote.DOMAIN_REBOOT: replying(),
    Remote.DOMAIN_SUSPEND: replying(),
    Remote.DOMAIN_RESUME: replying(),
    Remote.DOMAIN_UNDEFINE_FLAGS: replying(),
    Remote.DOMAIN_GET_STATE: replying(1, 1),
    Remote.DOMAIN_GET_INFO: replying(1, 2048, 1024, 2, 5_000_000_000),
    Remote.DOMAIN_GET_XML_DESC: replying("<domain/>"),
    Remote.DOMAIN_IS_ACTIVE: replying(1),
    Remote.DOMAIN_IS_PERSISTENT: replying(0),
    Remote.DOMAIN_GET_AUTOSTART: replying(1),
    Remote.DOMAIN_SET_AUTOSTART: replying(),
    Remote.DOMAIN_SET_MEMORY_FLAGS: replying(),
    Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS: replying(),
    Remote.DOMAIN_SET_BLKIO_PARAMETERS: replying(),
    Remote.DOMAIN_RENAME: replying(0),
    Remote.DOMAIN_GET_METADATA: replying("a title"),
    Remote.DOMAIN_SET_METADATA: replying(),
    Remote.DOMAIN_ATTACH_DEVICE_FLAGS: replying(),
    Remote.DOMAIN_DETACH_DEVICE_FLAGS: replying(),
    Remote.DOMAIN_OPEN_CONSOLE: console,
    Remote.STORAGE_VOL_UPLOAD: upload,
    Remote.CONNECT_GET_CAPABILITIES: replying("<capabilities/>"),
    Remote.CONNECT_GET_HOSTNAME: replying("host.example"),
    Remote.NODE_GET_INFO: replying(b"x86_64\0", 1024, 4, 2000, 1, 1, 2, 2),
    Remote.CONNECT_GET_ALL_DOMAIN_STATS: replying([(WEB, [("state.state", 1, 5), ("cpu.time", 4, 9)])]),
    Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: replying(5),
    Insula.DOMAIN_EXEC: execute,
    Insula.EXEC_WAIT: replying(256),
    Insula.EXEC_SIGNAL: replying(),
    Insula.DOMAIN_PLAN: replying('{"steps": []}'),
    Insula.CONFIG_READ: replying('{"xml": "<domain/>", "findings": []}'),
    Insula.CONFIG_WRITE: replying('{"text": "lxc.uts.name = web", "findings": []}'),
    Insula.PLAN_XML: replying('{"steps": [1]}'),
    Insula.HOST_DEVICE_CLASSES: replying('[{"kind": "class", "name": "gpu"}]'),
    Insula.IMAGE_LIST: replying('[{"name": "debian-12"}]'),
    Insula.IMAGE_BUILD: log,
    Insula.IMAGE_REMOVE: replying(),
    Insula.IMAGE_TAG: replying(),
    Insula.DOMAIN_INFO: replying('{"name": "web"}'),
    Insula.DOMAIN_LOG: log,
    Insula.DOMAIN_WAIT: replying('{"reason": "shutdown", "status": 0}'),
    Insula.CONSOLE_RESIZE: replying(),
    Insula.DOMAIN_REMOVE: replying(),
    Insula.DOMAIN_LIMITS: replying('[{"name": "memory"}]'),
    Insula.DOMAIN_CONTROL_FILE: replying("0"),
    Insula.DOMAIN_SET_LIMITS: replying(),
    Insula.DOMAIN_PROCESSES: replying('[{"pid": 1}]'),
    Insula.DOMAIN_LIST: replying('[{"name": "web"}]'),
    Insula.DAEMON_INFO: replying('{"version": "1"}'),
}
