"""The pages and completions that are made from the table of verbs: reference, man page, and a file for each shell.

`scripts/build-reference` writes them; a test says when one is not what the table says.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from insula.cli.render import show_line
from insula.cli.shellcompletion import COMPLETIONS
from insula.cli.syntax import Syntax, VerbParameter, syntax_of
from insula.cli.verbtable import EXIT_STATUSES, VERBS
from insula.roff import escaped, named, tagged

REFERENCE = Path("docs/reference/command-line.md")
BEGIN, END = "<!-- made by scripts/build-reference -->", "<!-- end of what is made -->"
PREFIX_HELP = "the installation to use (default: $INSULA_PREFIX, else the system's)"
CONNECT_HELP = "the daemon to use, also of another host: lxc+ssh://HOST/system (default: $INSULA_DEFAULT_URI)"
COMMAND_STATUS = (
    "exec, and run with a command, end as the command did: its own status; 128 + N if signal N killed it; 126 if it "
    "could not be executed, 127 if it was not found; 125 if Insula itself failed before that. Wrong usage is 2 there, "
    "too."
)


# The reference


def reference() -> str:
    """The verbs in markdown: a table of all, then each with what it takes."""
    syntaxes = [syntax_of(each) for each in VERBS]
    lines = [BEGIN, "", "## Verbs", "", "| verb | does |", "|---|---|"]
    lines += [f"| [`{each.words}`](#insula-{each.words.replace(' ', '-')}) | {_cell(each.summary)} |" for each in VERBS]
    for each in syntaxes:
        lines += ["", *_section(each)]
    return "\n".join([*lines, "", END])


def _section(syntax: Syntax) -> Iterator[str]:
    yield f"### insula {syntax.verb.words}"
    yield ""
    yield f"`{syntax.synopsis}`"
    yield ""
    yield " ".join(each for each in (syntax.verb.sentence, syntax.remarks) if each)
    if syntax.words or syntax.options:
        yield ""
        yield "| | |"
        yield "|---|---|"
        for each in (*syntax.words, *syntax.options):
            yield f"| {_name(each)} | {_cell(each.explanation)} |"


def _name(parameter: VerbParameter) -> str:
    if not parameter.names:
        return f"`{_cell(parameter.value)}`"
    *short, last = parameter.names
    return ", ".join(f"`{each}`" for each in (*short, f"{last} {_cell(parameter.value)}".rstrip()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_reference(page: str) -> str:
    """Return the page with the verbs as they are now. Raises: ValueError if it has no place for them."""
    before, rest = page.split(BEGIN)
    return f"{before}{reference()}{rest.split(END)[1]}"


# The man page


def man_page() -> str:
    """insula(1), in the macros of man(7)."""
    lines = [
        '.TH INSULA 1 "" Insula "User commands"',
        ".SH NAME",
        r"insula \- Linux system containers with the manners of virtual machines",
        ".SH SYNOPSIS",
        r".B insula",
        r"[\fB\-\-prefix\fR \fIDIR\fR | \fB\-\-connect\fR \fIURI\fR] \fIVERB\fR ...",
        ".SH DESCRIPTION",
        escaped("insula speaks to insulad over its socket. insula VERB --help lists every option of a verb."),
        ".SH OPTIONS",
        *tagged(r"\fB\-\-prefix\fR \fIDIR\fR", PREFIX_HELP),
        *tagged(r"\fB\-c\fR, \fB\-\-connect\fR \fIURI\fR", CONNECT_HELP),
        *tagged(r"\fB\-\-version\fR", "show versions and exit"),
        ".SH VERBS",
    ]
    for syntax in map(syntax_of, VERBS):
        lines += [f".SS {escaped(syntax.synopsis)}", escaped(syntax.verb.sentence)]
        lines += [escaped(syntax.remarks)] if syntax.remarks else []
        for each in (*syntax.words, *syntax.options):
            lines += tagged(named(each.names, each.value), each.explanation)
    lines.append(".SH EXIT STATUS")
    for status, meaning in EXIT_STATUSES:
        lines += tagged(rf"\fB{status}\fR", meaning)
    lines += [
        ".PP",
        escaped(COMMAND_STATUS),
        ".SH ENVIRONMENT",
        *tagged(r"\fBINSULA_PREFIX\fR", "the installation to use, as --prefix"),
        *tagged(r"\fBINSULA_DEFAULT_URI\fR", "the daemon to use where that is not given, as --connect"),
        *tagged(r"\fBTERM\fR", "is handed to commands with a terminal"),
        ".SH SEE ALSO",
        r".BR insulad (8),",
        r".BR virsh (1)",
    ]
    return "\n".join(lines) + "\n"


# All of them


def pages(checkout: Path) -> dict[Path, str]:
    """Every file that is made, below a checkout, with what it is to hold."""
    texts = {
        REFERENCE: with_reference((checkout / REFERENCE).read_text(encoding="utf-8")),
        Path("share/man/man1/insula.1"): man_page(),
    }
    places = {
        "bash": Path("share/bash-completion/completions/insula"),
        "zsh": Path("share/zsh/site-functions/_insula"),
        "fish": Path("share/fish/vendor_completions.d/insula.fish"),
    }
    return texts | {place: COMPLETIONS[shell]() for shell, place in places.items()}


def main() -> None:
    """Write them all below the checkout that the first argument names."""
    parser = argparse.ArgumentParser(description="Write what is made from the table of verbs.")
    parser.add_argument("checkout", type=Path)
    checkout: Path = parser.parse_args(sys.argv[1:]).checkout
    for path, text in pages(checkout).items():
        place = checkout / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_file() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")
            show_line(f"{path}")


if __name__ == "__main__":
    main()
