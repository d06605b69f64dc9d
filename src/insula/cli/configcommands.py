"""Verbs on other programs' configuration: config import, config export."""

import argparse
import sys
from collections.abc import Iterable

from insula.cli.configsources import SOURCES, gather
from insula.cli.lookup import domain
from insula.cli.neutral import neutral
from insula.cli.render import show_error, show_json, show_line
from insula.cli.terminal import is_terminal
from insula.errors import UnsupportedConfigError
from insula.model.numbers import XmlFlags
from insula.sdk.blocking_domains import Host
from insula.sdk.conversionverbs import Converted
from insula.sdk.values import Json

_FORMATS = ", ".join(SOURCES)


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", choices=tuple(SOURCES), metavar="FORMAT", help=f"{_FORMATS}")
    parser.add_argument("path", help="the file, or the directory that has it; - is standard input")
    parser.add_argument("--name", help="what the domain is called, if not as the document says")
    parser.add_argument("--define", action="store_true", help="define the domain, and print its name")
    parser.add_argument("--strict", action="store_true", help="fail if anything cannot be carried over as it is")
    parser.add_argument("--json", action="store_true", help="one JSON document: the XML, and what was found")
    parser.epilog = "What has no equivalent is named on standard error."


def _import(options: argparse.Namespace, host: Host) -> int:
    found = gather(SOURCES[options.format], options.path)
    converted = host.read_config(
        options.format, found.text, path=found.path, name=options.name, others=dict(found.others)
    )
    _judge(options, converted)
    if options.define:
        show_line(host.define(converted.text).name)
    else:
        _show(options, converted, "xml")
    return 0


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", choices=tuple(SOURCES), metavar="FORMAT", help=f"{_FORMATS}")
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("--secure", action="store_true", help="with the values of the init's environment")
    parser.add_argument("--strict", action="store_true", help="fail if anything cannot be carried over as it is")
    parser.add_argument("--json", action="store_true", help="one JSON document: the text, and what was found")
    parser.epilog = "The definition is exported. What has no equivalent is named on standard error."


def _export(options: argparse.Namespace, host: Host) -> int:
    flags = XmlFlags.INACTIVE | (XmlFlags.SECURE if options.secure else 0)
    converted = host.write_config(options.format, domain(host, options.domain).xml(flags))
    _judge(options, converted)
    _show(options, converted, "text")
    return 0


def _judge(options: argparse.Namespace, converted: Converted) -> None:
    """Name what was found. Raises: UnsupportedConfigError if there shall be nothing."""
    if not options.json:
        for line in _lines(converted.findings):
            show_error(line)
    if options.strict and converted.findings:
        raise UnsupportedConfigError(f"{len(converted.findings)} settings cannot be carried over as they are")


def _lines(findings: Iterable[Json]) -> Iterable[str]:
    for each in findings:
        place = ", ".join(filter(None, (each["file"], f"line {each['line']}" if each["line"] else "")))
        said = f"{each['why']}; {each['advice']}" if each["advice"] else each["why"]
        yield (
            f"{place}: {each['consequence']}: {each['key']}: {said}"
            if place
            else (f"{each['consequence']}: {each['key']}: {said}")
        )


def _show(options: argparse.Namespace, converted: Converted, kind: str) -> None:
    if options.json:
        show_json({kind: converted.text, "findings": converted.findings})
    else:
        sys.stdout.write(neutral(converted.text, kept="\n\t") if is_terminal(1) else converted.text)


ARGUMENTS = {"config import": _import_arguments, "config export": _export_arguments}
RUN = {"config import": _import, "config export": _export}
