"""The daemon's verbs as conversations: what is asked and what comes of it, whoever does the waiting.

`faces` makes methods of them: parameters, outcome and documentation here are what users of a host or a domain read.
A verb that opens a stream returns the answer that has it; its method returns the stream.

Each takes libvirt's flags last where it has any; 0 means the usual. Errors are the daemon's.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from insula.errors import InvalidArgumentError, OperationFailedError
from insula.model.numbers import Affect, ListDomains, MetadataType, StatsTypes, XmlFlags
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.conversation import Answer, Conversation, Request, ask, ask_for
from insula.sdk.values import (
    ExecRequest,
    Json,
    NodeInfo,
    Outcome,
    Started,
    State,
    Statistics,
    Usage,
    state_of,
)

if TYPE_CHECKING:  # only who passes such flags pays for them
    from insula.rpc.codes.eventcodes import DomainEventId
    from insula.rpc.codes.nativecodes import ImageFlags, PlanFlags
    from insula.rpc.codes.requestcodes import ConsoleFlags, StartFlags, UndefineFlags

_LOG_LINES_MAX = 0xFFFF
_TIME_MAX = 1 << 50

# Finding domains


def overview(flags: int = 0) -> Conversation[list[Json]]:
    """A few facts and figures of each domain that matches the filter (`ListDomains`), and of what `ListFlags` add."""
    return json_list((yield from ask(Insula.DOMAIN_LIST, flags)))


def domains(flags: ListDomains | int = 0) -> Conversation[tuple[DomainRef, ...]]:
    """The domains that match the filter (`ListDomains`), all without one."""
    found = yield from ask(Remote.CONNECT_LIST_ALL_DOMAINS, 1, flags)
    return tuple(found.domains)


def by_name(name: str) -> Conversation[DomainRef]:
    """Raises: DomainNotFoundError."""
    return (yield from ask_for(DomainRef, Remote.DOMAIN_LOOKUP_BY_NAME, name))


def by_uuid(uuid: str | bytes) -> Conversation[DomainRef]:
    """uuid: its text, with or without dashes, or its bytes.

    Raises: DomainNotFoundError; InvalidArgumentError if that is no UUID.
    """
    return (yield from ask_for(DomainRef, Remote.DOMAIN_LOOKUP_BY_UUID, uuid_bytes(uuid)))


def by_id(number: int) -> Conversation[DomainRef]:
    """Raises: DomainNotFoundError if no running domain has that id."""
    return (yield from ask_for(DomainRef, Remote.DOMAIN_LOOKUP_BY_ID, number))


def define(xml: str) -> Conversation[DomainRef]:
    """Make a domain known for good, or change its definition."""
    return (yield from ask_for(DomainRef, Remote.DOMAIN_DEFINE_XML_FLAGS, xml, 0))


def create(xml: str, flags: "StartFlags | int" = 0) -> Conversation[DomainRef]:
    """Start a domain that is forgotten when it stops."""
    return (yield from ask_for(DomainRef, Remote.DOMAIN_CREATE_XML, xml, flags))


def rename(domain: DomainRef, name: str) -> Conversation[None]:
    """Call a domain that does not run otherwise."""
    yield from ask(Remote.DOMAIN_RENAME, domain, name, 0)


# A domain's life


def start(domain: DomainRef, flags: "StartFlags | int" = 0) -> Conversation[DomainRef]:
    """Start it (`StartFlags`)."""
    return (yield from ask_for(DomainRef, Remote.DOMAIN_CREATE_WITH_FLAGS, domain, flags))


def shutdown(domain: DomainRef) -> Conversation[None]:
    """Ask the guest to shut down; it may take its time, or refuse."""
    yield from ask(Remote.DOMAIN_SHUTDOWN_FLAGS, domain, 0)


def reboot(domain: DomainRef) -> Conversation[None]:
    """Ask the guest to reboot."""
    yield from ask(Remote.DOMAIN_REBOOT, domain, 0)


def reset(domain: DomainRef) -> Conversation[None]:
    """Stop it at once and start it again, as a machine's reset button does."""
    yield from ask(Remote.DOMAIN_RESET, domain, 0)


def destroy(domain: DomainRef) -> Conversation[None]:
    """Stop it at once, whatever the guest is doing."""
    yield from ask(Remote.DOMAIN_DESTROY_FLAGS, domain, 0)


def suspend(domain: DomainRef) -> Conversation[None]:
    """Freeze all its processes."""
    yield from ask(Remote.DOMAIN_SUSPEND, domain)


def resume(domain: DomainRef) -> Conversation[None]:
    """Thaw them."""
    yield from ask(Remote.DOMAIN_RESUME, domain)


def signal_init(domain: DomainRef, signal: int) -> Conversation[None]:
    """Send the guest's init a signal, by its number here."""
    yield from ask(Remote.DOMAIN_SEND_PROCESS_SIGNAL, domain, 1, signal, 0)


def undefine(domain: DomainRef, flags: "UndefineFlags | int" = 0) -> Conversation[None]:
    """Forget its definition."""
    yield from ask(Remote.DOMAIN_UNDEFINE_FLAGS, domain, flags)


def remove(domain: DomainRef) -> Conversation[None]:
    """Forget its definition, and remove what it wrote on its clone."""
    yield from ask(Insula.DOMAIN_REMOVE, domain, 0)


def wait(domain: DomainRef) -> Conversation[Outcome]:
    """Return once it has stopped, and how."""
    told = json_mapping((yield from ask(Insula.DOMAIN_WAIT, domain, 0)))
    return Outcome(str(told["reason"]), told.get("status"), bool(told.get("out_of_memory")))


# A domain's facts and settings


def state(domain: DomainRef) -> Conversation[State]:
    """What it is doing, and why."""
    number, reason = yield from ask(Remote.DOMAIN_GET_STATE, domain, 0)
    return state_of(number, reason)


def usage(domain: DomainRef) -> Conversation[Usage]:
    """What it has and takes."""
    number, *rest = yield from ask(Remote.DOMAIN_GET_INFO, domain)
    return Usage(state_of(number, 0).state, *rest)


def xml(domain: DomainRef, flags: XmlFlags | int = 0) -> Conversation[str]:
    """Its XML: of the running domain, unless INACTIVE asks for the definition."""
    return (yield from ask_for(str, Remote.DOMAIN_GET_XML_DESC, domain, flags))


def is_active(domain: DomainRef) -> Conversation[bool]:
    """Whether it runs."""
    return bool((yield from ask(Remote.DOMAIN_IS_ACTIVE, domain)))


def is_persistent(domain: DomainRef) -> Conversation[bool]:
    """Whether it has a definition."""
    return bool((yield from ask(Remote.DOMAIN_IS_PERSISTENT, domain)))


def set_memory(domain: DomainRef, kib: int, flags: Affect | int = 0) -> Conversation[None]:
    """Change what memory it may use. kib: KiB."""
    yield from ask(Remote.DOMAIN_SET_MEMORY_FLAGS, domain, kib, flags)


def metadata(
    domain: DomainRef, kind: MetadataType, uri: str | None = None, flags: Affect | int = 0
) -> Conversation[str]:
    """Its title, description, or the element of a name space. Raises: MetadataNotFoundError."""
    return (yield from ask_for(str, Remote.DOMAIN_GET_METADATA, domain, kind, uri, flags))


def set_metadata(
    domain: DomainRef,
    kind: MetadataType,
    value: str | None,
    key: str | None = None,
    uri: str | None = None,
    flags: Affect | int = 0,
) -> Conversation[None]:
    """Set a text or, with the prefix key and its name space, an element; None takes it away."""
    yield from ask(Remote.DOMAIN_SET_METADATA, domain, kind, value, key, uri, flags)


def attach(domain: DomainRef, device: str, flags: Affect | int = 0) -> Conversation[None]:
    """Add a device. device: its XML."""
    yield from ask(Remote.DOMAIN_ATTACH_DEVICE_FLAGS, domain, device, flags)


def detach(domain: DomainRef, device: str, flags: Affect | int = 0) -> Conversation[None]:
    """Take a device away. device: its XML."""
    yield from ask(Remote.DOMAIN_DETACH_DEVICE_FLAGS, domain, device, flags)


def info(domain: DomainRef) -> Conversation[Json]:
    """All that the daemon knows about it."""
    return json_mapping((yield from ask(Insula.DOMAIN_INFO, domain, 0)))


def processes(domain: DomainRef) -> Conversation[list[Json]]:
    """The processes of its guest, by their pids there."""
    return json_list((yield from ask(Insula.DOMAIN_PROCESSES, domain, 0)))


def plan(domain: DomainRef, flags: "PlanFlags | int" = 0) -> Conversation[Json]:
    """What its start would do, step by step."""
    return json_mapping((yield from ask(Insula.DOMAIN_PLAN, domain, flags)))


# Inside a domain


def execute(
    domain: DomainRef, request: ExecRequest, fds: Sequence[int], *, detached: bool = False, traced: bool = False
) -> Conversation[Started]:
    """Run a program. fds: its standard input, output and error, unless the request asks for a terminal.

    detached: it goes on when our connection ends, which else ends it; traced: `explanation` tells what was refused.
    """
    arguments = (domain, json.dumps(request.to_json()), detached | traced << 1)
    answer: Answer = yield Request(Insula.DOMAIN_EXEC, arguments, () if request.tty else tuple(fds))
    handle, pid = answer.values
    return Started(handle, pid, answer.fds[0] if answer.fds else None)


def exec_status(handle: int) -> Conversation[int]:
    """Return once the program has ended: its raw wait status."""
    return (yield from ask_for(int, Insula.EXEC_WAIT, handle))


def exec_signal(handle: int, signal: int) -> Conversation[None]:
    """Send the program a signal."""
    yield from ask(Insula.EXEC_SIGNAL, handle, signal)


def console(domain: DomainRef, device: str | None = None, flags: "ConsoleFlags | int" = 0) -> Conversation[Answer]:
    """Open a console, the first without a device's name (`ConsoleFlags`)."""
    return (yield Request(Remote.DOMAIN_OPEN_CONSOLE, (domain, device, flags)))


def resize_console(domain: DomainRef, rows: int, columns: int, device: str | None = None) -> Conversation[None]:
    """Tell a console how large the terminal at our end is.

    Raises: InvalidArgumentError beyond 65535 rows or columns, which no terminal has.
    """
    from insula.kernel.pty import WINDOW_MAX  # only who resizes pays for ctypes

    if not (0 <= rows <= WINDOW_MAX and 0 <= columns <= WINDOW_MAX):
        raise InvalidArgumentError(
            f"a console has at most {WINDOW_MAX} rows and columns, not {rows} rows and {columns} columns"
        )
    yield from ask(Insula.CONSOLE_RESIZE, domain, device, rows, columns)


def log(
    domain: DomainRef,
    source: str,
    *,
    follow: bool = False,
    lines: int | None = None,
    since: float | None = None,
    timestamps: bool = False,
) -> Conversation[Answer]:
    """Read a log of it; follow: go on as it grows; since: seconds since the epoch, None for all that there is; lines:
    of that the last so many, None for all; timestamps: each line begins with when it began.

    Raises: InvalidArgumentError for more lines than 65535, and for a time that is none.
    """
    if lines is not None and not 0 <= lines <= _LOG_LINES_MAX:
        raise InvalidArgumentError(f"{lines} lines cannot be asked for, only 0 to {_LOG_LINES_MAX}")
    if since is not None and not 0 <= since < _TIME_MAX:
        raise InvalidArgumentError(f"{since:g} is no time in seconds since 1970")
    flags = (1 if follow else 0) | (2 if timestamps else 0)  # LogFlags
    moment = 0 if since is None else max(round(since * 1000), 1)
    return (yield Request(Insula.DOMAIN_LOG, (domain, source, moment, -1 if lines is None else lines, flags)))


# Images


def images(flags: "ImageFlags | int" = 0) -> Conversation[list[Json]]:
    """The images there are."""
    return json_list((yield from ask(Insula.IMAGE_LIST, flags)))


def build_image(name: str, recipe: Json) -> Conversation[Answer]:
    """Build an image; the stream tells the progress, a JSON object a line."""
    return (yield Request(Insula.IMAGE_BUILD, (name, json.dumps(recipe), 0)))


def tag_image(name: str, another: str) -> Conversation[None]:
    """Give an image another name. Raises: ImageNotFoundError, ImageExistsError."""
    yield from ask(Insula.IMAGE_TAG, name, another, 0)


def remove_image(name: str, flags: "ImageFlags | int" = 0) -> Conversation[None]:
    """Raises: ImageNotFoundError; ResourceBusyError if a domain uses it."""
    yield from ask(Insula.IMAGE_REMOVE, name, flags)


# The host


def capabilities() -> Conversation[str]:
    """What the host and its driver can do, as libvirt's XML."""
    return (yield from ask_for(str, Remote.CONNECT_GET_CAPABILITIES))


def hostname() -> Conversation[str]:
    """The host's name."""
    return (yield from ask_for(str, Remote.CONNECT_GET_HOSTNAME))


def node_info() -> Conversation[NodeInfo]:
    """The host's hardware."""
    model, *numbers = yield from ask(Remote.NODE_GET_INFO)
    return NodeInfo(model.rstrip(b"\0").decode(errors="replace"), *numbers)


def plan_of(xml: str, flags: "PlanFlags | int" = 0) -> Conversation[Json]:
    """What starting a domain of this XML would do, step by step."""
    return json_mapping((yield from ask(Insula.PLAN_XML, xml, flags)))


def device_classes() -> Conversation[list[Json]]:
    """What of the host `<insula:device>` can name: kind (class, cdi, file), name, nodes, remarks, problem."""
    return json_list((yield from ask(Insula.HOST_DEVICE_CLASSES, 0)))


def daemon_info() -> Conversation[Json]:
    """What the daemon tells of itself: version, layout, keeper."""
    return json_mapping((yield from ask(Insula.DAEMON_INFO, 0)))


def statistics(groups: StatsTypes | int = 0, flags: ListDomains | int = 0) -> Conversation[list[Statistics]]:
    """Bulk statistics of the domains that match the filter, all groups without a choice."""
    records = yield from ask(Remote.CONNECT_GET_ALL_DOMAIN_STATS, (), groups, flags)
    return [Statistics(dom, {field: value for field, _, value in params}) for dom, params in records]


# Events


def register(event: "DomainEventId", domain: DomainRef | None) -> Conversation[int]:
    """Ask for an event's messages, of one domain or of all; return the callback they will name."""
    return (yield from ask_for(int, Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, event, domain))


def watch_lifecycle(domain: DomainRef | None = None) -> Conversation[int]:
    """What happens from now on to a domain, or to all."""
    from insula.rpc.codes.eventcodes import DomainEventId  # only who watches pays for it

    return (yield from register(DomainEventId.LIFECYCLE, domain))


def deregister(callback: int) -> Conversation[None]:
    """Ask for no more of them."""
    yield from ask(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, callback)


def uuid_bytes(uuid: str | bytes) -> bytes:
    try:
        raw = bytes.fromhex(uuid.replace("-", "")) if isinstance(uuid, str) else uuid
    except ValueError as error:
        raise InvalidArgumentError(f"'{uuid!s}' is no UUID") from error
    if len(raw) != 16:
        raise InvalidArgumentError(f"'{uuid!s}' is no UUID: it has {len(raw)} bytes, not 16")
    return raw


def json_mapping(text: Any) -> Json:
    told = json.loads(text)
    if not isinstance(told, dict):
        raise OperationFailedError("the daemon sent no JSON object")
    return told


def json_list(text: Any) -> list[Json]:
    told = json.loads(text)
    if not isinstance(told, list):
        raise OperationFailedError("the daemon sent no JSON list")
    return told
