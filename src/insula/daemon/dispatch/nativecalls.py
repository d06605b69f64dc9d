"""What libvirt has no words for: our own program on the same socket. Texts called request, plan, info are JSON."""

import asyncio
import dataclasses
import json
import os
from functools import partial
from typing import Any
from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall, Work
from insula.daemon.kernellogjob import kernel_log_job
from insula.daemon.logstream import log_job
from insula.daemon.serverstreams import ServerStream, StreamJob
from insula.engine.codec import encode
from insula.engine.console.consolehistory import LogSelection
from insula.engine.machineviews import MEMORY
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.disassembly import listed
from insula.engine.program.program import Program
from insula.engine.spec import Process
from insula.engine.threads import in_own_thread
from insula.errors import InvalidArgumentError, OperationFailedError, OperationUnsupportedError
from insula.kernel.fds import Fd
from insula.rpc.codes.nativecodes import ExecFlags, ImageFlags, LogFlags, PlanFlags
from insula.rpc.procedures import Insula, Procedure
from insula.service import describing
from insula.service.figures import figures
from insula.service.jsonrequests import json_object
from insula.service.managed import ManagedDomain
from insula.service.startoptions import Storage
from insula.storage.builders.imagebuilder import Progress

HIDDEN = "(hidden)"
"""What stands in a plan for the values of environment variables."""
_CONSOLE, _KERNEL = "console", "kernel"


def _json(value: object) -> str:
    return json.dumps(value, default=str, separators=(",", ":"))


# Processes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _CheckedExec:
    """DOMAIN_EXEC's request, checked."""

    process: Process
    terminal: tuple[int, int] | None
    capabilities: frozenset[str] | None


def _exec_request(text: str) -> _CheckedExec:
    """Return what a client wants executed. Raises: InvalidArgumentError naming the field."""
    wanted = json_object(text, "the request")
    argv = wanted.get("argv")
    if not argv or not isinstance(argv, list) or not all(map(_is_text, argv)):
        raise InvalidArgumentError("'argv' must be a list of at least one text that a program can be given")
    if not argv[0]:
        raise InvalidArgumentError("'argv' begins with an empty text, which names no program")
    environment = wanted.get("env") or {}
    if not isinstance(environment, dict) or not all(map(_is_text, (*environment, *environment.values()))):
        raise InvalidArgumentError("'env' must be an object of texts that a program can be given")
    capabilities = wanted.get("capabilities")
    if capabilities is not None and not (
        isinstance(capabilities, list) and all(isinstance(each, str) for each in capabilities)
    ):
        raise InvalidArgumentError("'capabilities' must be a list of names")
    return _CheckedExec(
        process=Process(
            argv=tuple(argv),
            env=tuple(environment.items()),
            cwd=_text(wanted, "cwd") or None,
            user=_text(wanted, "user"),
            group=_text(wanted, "group"),
        ),
        terminal=(_size(wanted, "rows", 24), _size(wanted, "columns", 80)) if wanted.get("tty") else None,
        capabilities=frozenset(capabilities) if capabilities is not None else None,
    )


def _is_text(value: object) -> bool:
    """Whether a value can be handed to a program: bytes that are no UTF-8 come as halves of surrogate pairs."""
    try:
        return isinstance(value, str) and "\0" not in value and bool(os.fsencode(value) or True)
    except UnicodeEncodeError:
        return False


def _text(wanted: dict[str, Any], key: str) -> str | None:
    value = wanted.get(key)
    if value is not None and not _is_text(value):
        raise InvalidArgumentError(f"'{key}' must be a text that a program can be given")
    return value


def _size(wanted: dict[str, Any], key: str, default: int) -> int:
    value = wanted.get(key, default)
    if not isinstance(value, int) or not 0 < value < 65536:
        raise InvalidArgumentError(f"'{key}' must be a number from 1 to 65535")
    return value


async def _exec(request: IncomingCall, domain: ManagedDomain, request_: str, flags: int) -> Answer:
    request.allow_flags(flags, ExecFlags.DETACHED | ExecFlags.TRACED)
    wanted = _exec_request(request_)
    fds = [Fd(each) for each in request.call.fds]
    if wanted.terminal is None and len(fds) != 3:
        raise InvalidArgumentError(
            f"{len(fds)} file descriptors came: without a tty, give standard input, output, error"
        )
    if wanted.terminal is not None and fds:
        raise InvalidArgumentError("with a tty no file descriptors are taken")
    services = request.services
    execute = services.explaining.execute if flags & ExecFlags.TRACED else services.guest.execute
    executed = await execute(
        domain,
        wanted.process,
        stdio=(fds[0], fds[1], fds[2]) if fds else None,
        terminal=wanted.terminal,
        capabilities=wanted.capabilities,
        owner=None if flags & ExecFlags.DETACHED else request.client,
    )
    if executed.master is not None:
        request.reply_fds = [executed.master]
    return executed.id, executed.pid


def _exec_wait(request: IncomingCall, exec_: int) -> Answer | Work:
    status = request.services.guest.wait_executed(exec_, request.client)
    return _known_status(status.result()) if status.done() else _awaited_status(status)


async def _awaited_status(status: asyncio.Future[int | None]) -> Answer:
    return _known_status(await status)


def _known_status(status: int | None) -> Answer:
    if status is None:
        raise OperationFailedError("nobody could learn how the process ended: its keeper died before it")
    return (status,)


def _exec_signal(request: IncomingCall, exec_: int, signum: int) -> Answer:
    request.services.guest.signal_executed(exec_, signum)
    return None


# Domains


def _described(plan: LaunchPlan) -> dict[str, Any]:
    """The plan for people (`steps`: where, what and why, in order) and for programs (`plan`)."""
    steps = [{"where": where, "does": does, "why": why} for where, does, why in plan.lines()]
    return {"steps": steps, "plan": _without_values(plan.encode())}


def _without_values(data: Any) -> Any:
    """A plan's JSON without what environments hold: people show plans to others, and passwords stand in there."""
    if isinstance(data, dict):
        return {
            key: [[name, HIDDEN] for name, _ in value] if key == "env" else _without_values(value)
            for key, value in data.items()
        }
    return [_without_values(each) for each in data] if isinstance(data, list | tuple) else data


def _described_text(plan: LaunchPlan, program: Program | None) -> str:
    """As JSON; with a program its lines too (`program`), in which no environment stands."""
    described = _described(plan)
    return _json(described if program is None else {**described, "program": list(listed(program))})


async def _plan(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, PlanFlags.SYSCALLS)
    planning = request.services.planning
    plan = await planning.plan(domain)
    program = await planning.program(domain) if flags & PlanFlags.SYSCALLS else None
    return (await asyncio.to_thread(_described_text, plan, program),)


async def _plan_xml(request: IncomingCall, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, PlanFlags.SYSCALLS)
    planning = request.services.planning
    domain = await request.services.incoming.read(xml)
    plan = await planning.plan_of(domain)
    program = await planning.program_of(domain) if flags & PlanFlags.SYSCALLS else None
    return (await asyncio.to_thread(_described_text, plan, program),)


async def _device_classes(request: IncomingCall, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (_json(await request.services.device_offers.offers()),)


async def _info(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    async with request.client.bulk:
        now = await in_own_thread(partial(figures, domain, request.services.images.clone_of(domain.uuid)))
        report = await request.services.guest_system.report(domain)
    return (_json({**describing.described(domain), "system": report.described(), **now}),)


async def _wait(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    stopped = await request.services.lifecycle.wait(domain)
    return (_json(dataclasses.asdict(stopped)),)


async def _remove(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.definitions.undefine(domain, Storage.DISCARD)
    return None


def _log(request: IncomingCall, domain: ManagedDomain, source: str, since: int, lines: int, flags: int) -> Answer:
    request.allow_flags(flags, LogFlags.FOLLOW | LogFlags.TIMESTAMPS)
    if not (source or _CONSOLE).startswith(_CONSOLE) and source != _KERNEL:
        raise InvalidArgumentError(f"unknown log '{source}': there are kernel, console, console0, console1 and so on")
    device, follow = None if source in ("", _CONSOLE) else source, bool(flags & LogFlags.FOLLOW)
    wanted = LogSelection(
        since=since or None, lines=lines if lines >= 0 else None, stamped=bool(flags & LogFlags.TIMESTAMPS)
    )
    if source == _KERNEL:
        request.job = _kernel_log(domain, wanted, follow=follow)
    else:
        request.job = log_job(request.services.consoles, domain, device, wanted, follow=follow)
    return None


def _kernel_log(domain: ManagedDomain, wanted: LogSelection, *, follow: bool) -> StreamJob:
    run = domain.require_run()
    memory, offsets = run.container.view.get(MEMORY), run.container.record.spec.time_offsets
    if memory is None:
        raise OperationUnsupportedError(
            f"domain '{domain.name}' has no kernel log of its own: it runs without a machine view; "
            "<insula:view enabled='yes'/> gives it one from its next start on; insula doctor tells if FUSE is missing"
        )
    boottime = 0 if offsets is None else offsets[1]
    return kernel_log_job(memory, boottime, wanted, goes_on=(lambda: domain.run is run) if follow else None)


def _resize(request: IncomingCall, domain: ManagedDomain, device: str | None, rows: int, columns: int) -> Answer:
    request.services.consoles.resize(domain, device, rows, columns)
    return None


# Images


def _images(request: IncomingCall, flags: int) -> Answer:
    request.allow_flags(flags, ImageFlags.CLONES)
    if flags & ImageFlags.CLONES:
        clones = [each for each in request.services.images.left_clones() if _may_name(request, str(each.uuid))]
        return (_json([{"uuid": each.uuid, "image": each.image} for each in clones]),)
    images = [each for each in request.services.images.list() if _may_name(request, each.name)]
    return (_json([encode(each) for each in images]),)


def _may_name(request: IncomingCall, name: str) -> bool:
    return request.seen is None or name in request.seen


def _build(request: IncomingCall, name: str, recipe: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    request.job = _build_job(request, name, recipe)
    return None


def _build_job(request: IncomingCall, name: str, recipe: str) -> StreamJob:
    """Build an image, telling of its progress in lines of JSON; the client's going away ends the building."""

    async def build(stream: ServerStream) -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()

        def progress(told: Progress) -> None:
            lines.put_nowait(_json(dataclasses.asdict(told)) + "\n")

        building = asyncio.create_task(request.services.images.build(name, recipe, progress), name=f"build of {name}")
        building.add_done_callback(lambda _: lines.put_nowait(None))
        try:
            while (line := await lines.get()) is not None:
                await stream.send(line.encode())
            await building
        finally:
            building.cancel()
            await asyncio.gather(building, return_exceptions=True)

    return StreamJob(serve=build)


async def _remove_image(request: IncomingCall, name: str, flags: int) -> Answer:
    request.allow_flags(flags, ImageFlags.CLONES)
    if flags & ImageFlags.CLONES:
        await request.services.images.remove_left_clone(_uuid(name))
    else:
        await request.services.images.remove(name)
    return None


async def _tag_image(request: IncomingCall, name: str, another: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.images.tag(name, another)
    return None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidArgumentError(f"'{text}' is no UUID") from error


def _daemon_info(request: IncomingCall, flags: int) -> Answer:
    """Of a client that sees some domains those alone are counted."""
    info = request.services.daemon_info()
    if request.seen is not None:
        visible = list(request.visible(request.services.domains))
        info = {**info, "domains": {"defined": len(visible), "running": sum(each.is_active for each in visible)}}
    return (_json(info),)


HANDLERS: dict[Procedure, Handler] = {
    Insula.DOMAIN_EXEC: _exec,
    Insula.EXEC_WAIT: _exec_wait,
    Insula.EXEC_SIGNAL: _exec_signal,
    Insula.DOMAIN_PLAN: _plan,
    Insula.PLAN_XML: _plan_xml,
    Insula.HOST_DEVICE_CLASSES: _device_classes,
    Insula.DOMAIN_INFO: _info,
    Insula.DOMAIN_WAIT: _wait,
    Insula.DOMAIN_REMOVE: _remove,
    Insula.DOMAIN_LOG: _log,
    Insula.CONSOLE_RESIZE: _resize,
    Insula.IMAGE_LIST: _images,
    Insula.IMAGE_BUILD: _build,
    Insula.IMAGE_REMOVE: _remove_image,
    Insula.IMAGE_TAG: _tag_image,
    Insula.DAEMON_INFO: _daemon_info,
}
