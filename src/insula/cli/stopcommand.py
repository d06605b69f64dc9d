"""The verb that stops domains, in the order that is the reverse of their start."""

import argparse
import time
from collections.abc import Iterable

from insula.cli.lifecyclecommands import meant_domains, require_awake, stopped, timed
from insula.cli.render import show_error
from insula.errors import InsulaError, OperationTimeoutError
from insula.sdk.blocking_domains import Domain, Host

_POLL_SECONDS = 0.05


def _arguments(parser: argparse.ArgumentParser) -> None:
    timed(parser)
    parser.add_argument("-f", "--force", action="store_true", help="kill what has not stopped in time")
    parser.epilog = (
        "Who is depended on stops after those that depend on it, and who starts first stops last; the others stop at "
        "the same time. The time is each domain's own."
    )


def _stop(options: argparse.Namespace, host: Host) -> int:
    statuses = dict[str, int]()

    def failed(text: str, error: InsulaError) -> None:
        show_error(str(error), of=text)
        statuses.setdefault(text, error.exit_status)

    found, seen = dict[str, Domain](), set[bytes]()
    for text, find in meant_domains(options, host):
        try:
            each = find()
            if each.ref.uuid not in seen:  # named twice, it stops once
                found[text] = each
            seen.add(each.ref.uuid)
        except InsulaError as error:
            failed(text, error)
    for stage in _stages(host, found):
        for text, refusal in _stop_stage(stage, options.time, force=options.force):
            failed(text, refusal)
    return next(iter(statuses.values()), 0)


def _stages(host: Host, found: dict[str, Domain]) -> Iterable[dict[str, Domain]]:
    """The domains that are to stop, in the order of that; those that do not run last, to be told so."""
    if len(found) < 2:
        return [found]
    names = {each.name: text for text, each in found.items()}
    left = dict(found)
    stages = [{names[name]: left.pop(names[name]) for name in stage if name in names} for stage in host.stop_order()]
    return [*(stage for stage in stages if stage), left]


def _stop_stage(stage: dict[str, Domain], seconds: float, *, force: bool) -> Iterable[tuple[str, InsulaError]]:
    """Stop domains at the same time; yield which could not be, and why."""
    waiting = dict[str, Domain]()
    for text, each in stage.items():
        try:
            require_awake(each, "resume it first, or use --force")
            each.shutdown()
            waiting[text] = each
        except InsulaError as error:
            if (refusal := _killed(each, error, force=force)) is not None:
                yield text, refusal
    deadline = time.monotonic() + seconds
    while waiting:
        for text, each in list(waiting.items()):
            if stopped(each):
                del waiting[text]
        if time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(_POLL_SECONDS)
    for text, each in waiting.items():
        late = OperationTimeoutError(f"domain '{each.name}' did not shut down within {seconds:g} seconds")
        if (refusal := _killed(each, late, force=force)) is not None:
            yield text, refusal


def _killed(found: Domain, reason: InsulaError, *, force: bool) -> InsulaError | None:
    """Kill what does not answer, or cannot be asked, if that is wanted; return why it runs on, None if not."""
    if not force:
        return reason
    try:
        if not stopped(found):
            found.destroy()
    except InsulaError as error:
        return error
    return None


ARGUMENTS = {"stop": _arguments}
RUN = {"stop": _stop}
