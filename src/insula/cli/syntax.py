"""What a verb takes, read off its parser as values: for the pages and the completions that are made from it."""

import argparse
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from insula.cli.verbtable import CommandVerb, parser_of


class ValueKind(Enum):
    """What a word stands for, as far as a shell can complete it."""

    OTHER = "other"
    CHOICE = "choice"
    DOMAIN = "domain"
    IMAGE = "image"
    FILE = "file"
    DIRECTORY = "directory"


_KINDS = {
    "domain": ValueKind.DOMAIN,
    "domains": ValueKind.DOMAIN,
    "image": ValueKind.IMAGE,
    "named": ValueKind.IMAGE,
    "images": ValueKind.IMAGE,
    "root": ValueKind.DIRECTORY,
    "path": ValueKind.FILE,
}
"""By the name that a verb gives to what it is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerbParameter:
    """One option or word of a verb. names: of an option, none of a word; value: what stands for it, "" for a switch."""

    names: tuple[str, ...]
    value: str
    explanation: str
    kind: ValueKind
    choices: tuple[str, ...]
    required: bool
    several: bool

    @property
    def shown(self) -> str:
        """A word as a synopsis has it."""
        repeated = f"{self.value} ..." if self.several else self.value
        return repeated if self.required else f"[{repeated}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Syntax:
    """All that a verb takes. remarks: what its help says beside; bare: whether a command may stand without --, too."""

    verb: CommandVerb
    options: tuple[VerbParameter, ...]
    words: tuple[VerbParameter, ...]
    remarks: str
    bare: bool = False

    @property
    def synopsis(self) -> str:
        """One line: the verb and what follows it."""
        parts = ["insula", self.verb.words, *(["[OPTION ...]"] if self.options else [])]
        parts += [each.shown for each in self.words]
        command = f"[{'[--]' if self.bare else '--'} COMMAND [ARGUMENT ...]]"
        return " ".join([*parts, *([command] if self.verb.command else [])])


def syntax_of(verb: CommandVerb) -> Syntax:
    """Return what a verb takes."""
    parser = parser_of(verb)
    actions = [each for each in parser._actions if argparse.SUPPRESS not in (each.default, each.help)]
    remarks = [text for text in (parser.description, parser.epilog) if text and text != verb.sentence]
    return Syntax(
        verb=verb,
        options=tuple(_parameter(each) for each in actions if each.option_strings),
        words=tuple(
            _parameter(each) for each in actions if not each.option_strings and each.nargs != argparse.REMAINDER
        ),
        remarks=" ".join(remarks),
        bare=any(each.nargs == argparse.REMAINDER for each in actions),
    )


def _parameter(action: argparse.Action) -> VerbParameter:
    choices = tuple(map(str, action.choices)) if action.choices is not None else ()
    kind = ValueKind.CHOICE if choices else _KINDS.get(action.dest, ValueKind.OTHER)
    if action.type is Path:
        kind = ValueKind.FILE
    return VerbParameter(
        names=tuple(action.option_strings),
        value=_value(action, choices),
        explanation=argparse.HelpFormatter(prog="insula")._expand_help(action) if action.help else "",
        kind=kind,
        choices=choices,
        required=action.nargs not in ("?", "*"),
        several=action.nargs in ("+", "*"),
    )


def _value(action: argparse.Action, choices: tuple[str, ...]) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar if action.option_strings else action.metavar.upper()
    return "|".join(choices) if choices else action.dest.upper()
