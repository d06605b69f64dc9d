"""explain: which layer refused an operation in a guest, and the line of its XML that would let it through."""

import argparse
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from insula.cli.execcommand import attended
from insula.cli.lookup import domain
from insula.cli.render import exit_words, show_json, show_line
from insula.sdk import explainverbs
from insula.sdk.blocking_domains import Host

_WIDTH = 110
_LABELS = (("evidence", "because"), ("change", "change"), ("advice", "note"), ("settle", "to be sure"))


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument(
        "-a", "--all", action="store_true", help="every call that was refused, not the one that mattered"
    )
    parser.add_argument("-u", "--user", help="name or number, as the guest has it (default: root)")
    parser.add_argument("-g", "--group", help="name or number, as the guest has it")
    parser.add_argument("-w", "--cwd", default=None, help="working directory (default: the user's home)")
    parser.add_argument(
        "-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="more for its environment"
    )
    parser.add_argument("-n", "--null", action="store_true", help="keep your input: the command's is empty")
    parser.add_argument(
        "--json", action="store_true", help="one JSON document; what the command says goes to standard error"
    )
    parser.set_defaults(tty=False, detach=False)
    parser.epilog = (
        "The command is run as by exec, and traced; programs behave as there, but are slower, and cannot be debugged "
        "themselves. Without a command, all that holds the guest is told. The exit status is that of the explaining, "
        "not the command's."
    )


def _explain(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    if not options.after:
        held = found.confinement()
        if options.json:
            show_json(held)
        else:
            for line in confinement_lines(held["held_by"]):
                show_line(line)
        return 0
    _, started = attended(options, host, found, options.after, traced=True)
    told = host.client.run(explainverbs.explanation(started.handle))
    if options.json:
        show_json(told)
    else:
        for line in explanation_lines(told, everything=options.all):
            show_line(line)
    return 0


def confinement_lines(held: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What holds a guest, a paragraph a layer."""
    for each in held:
        yield f"{each['layer']}:"
        yield from _wrapped("", each["says"])
        if each["change"]:
            yield from _wrapped("change: ", each["change"])
        if each["refused"]:
            yield from _wrapped("", f"it has said no {each['refused']} times")


def explanation_lines(told: Mapping[str, Any], *, everything: bool) -> Iterator[str]:
    """Why a command failed. everything: all that was refused to it, not only what mattered."""
    refusals = told["refusals"]
    shown = [each for each in refusals if everything or each["mattered"]]
    yield ""
    yield f"{_end(told['status'])}; {_refused(len(refusals))}"
    for each in shown:
        yield ""
        yield from _refusal(each)
    if told["overlooked"] and everything:
        yield ""
        yield f"{told['overlooked']} more that came before are not told"
    if told["silent"]:
        yield ""
        yield "a file system of the guest's did not answer: what calls named was not looked at from then on"
    if not shown and refusals:
        yield "none of these mattered, as far as can be seen: --all tells each"


def _end(status: int | None) -> str:
    if status is None:
        return "how the command ended is not known"
    if os.WIFEXITED(status) and not os.WEXITSTATUS(status):
        return "the command succeeded"
    return f"the command ended with {exit_words(status)}"


def _refused(number: int) -> str:
    """A file that is not there, or a network without a route, is no refusal: no layer said no."""
    if not number:
        return "none of its calls was refused"
    return f"{number} of its calls {'was' if number == 1 else 'were'} refused"


def _refusal(refusal: Mapping[str, Any]) -> Iterator[str]:
    often = f", {refusal['times']} times" if refusal["times"] > 1 else ""
    yield f"{refusal['program']}[{refusal['pid']}]: {refusal['call']}: {refusal['errno']} ({refusal['error']}){often}"
    several = len(refusal["verdicts"]) > 1
    for number, verdict in enumerate(refusal["verdicts"], 1):
        yield f"  refused by: {verdict['layer']}{f' (possibly, {number})' if several else ''}"
        for key, label in _LABELS:
            if verdict[key]:
                yield from _wrapped(f"{label}: ", verdict[key])


def _wrapped(label: str, text: str) -> Iterator[str]:
    indent = "    "
    yield from textwrap.wrap(
        f"{label}{text}",
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


ARGUMENTS = {"explain": _explain_arguments}
RUN = {"explain": _explain}
