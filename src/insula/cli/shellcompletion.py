"""Completion of `insula` in bash, zsh and fish, written from the table of verbs.

Names of domains and images are asked of the daemon when they are completed. What it answers is data: it is compared
and quoted, and never expanded by the shell.
"""

from collections.abc import Callable, Iterable
from typing import Final

from insula.cli.syntax import Syntax, ValueKind, VerbParameter, syntax_of
from insula.cli.verbtable import VERBS

_LISTS = {ValueKind.DOMAIN: "ls -q", ValueKind.IMAGE: "image ls -q"}
"""The verbs that print the names of a kind, one a line."""


def _syntaxes() -> list[Syntax]:
    return [syntax_of(each) for each in VERBS]


def _quoted(text: str) -> str:
    """A word of a shell's, whatever it holds."""
    return "'" + text.replace("'", "'\\''") + "'"


def _heads() -> list[str]:
    """The first words of all verbs, each once."""
    return list(dict.fromkeys(each.words.split()[0] for each in VERBS))


def _seconds(head: str) -> list[str]:
    """The second words of verbs that begin with head."""
    return [each.words.split()[1] for each in VERBS if each.words.split()[0] == head and " " in each.words]


def _word_kind(syntax: Syntax) -> VerbParameter | None:
    """The first word that a shell can complete; what follows it is mostly of its kind."""
    return next((each for each in syntax.words if each.kind is not ValueKind.OTHER), None)


# bash

_BASH_HEAD = r"""# bash completion of insula; made from its table of verbs.

_insula_add() {  # WORD...: those that begin as the word under the cursor does
    local each
    for each in "$@"; do
        [[ $each == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$each")")
    done
}

_insula_names() {  # VERB...: what this verb prints, a name a line
    local each
    while IFS= read -r each; do _insula_add "$each"; done < <(insula "${prefix[@]}" "$@" 2> /dev/null)
}

_insula_files() {  # -f or -d
    local each
    compopt -o filenames 2> /dev/null
    while IFS= read -r each; do COMPREPLY+=("$each"); done < <(compgen "$1" -- "$cur")
}

_insula() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= at=1 each
    local -a prefix=()
    COMPREPLY=()
    while ((at < COMP_CWORD)); do
        case ${COMP_WORDS[at]} in
            --prefix|--connect|-c) prefix=("${COMP_WORDS[at]}" "${COMP_WORDS[at+1]}"); ((at += 2)) ;;
            -*) ((at += 1)) ;;
            *) break ;;
        esac
    done
    if ((at > COMP_CWORD)); then _insula_files -d; return; fi
    if ((at == COMP_CWORD)); then
        _insula_add --prefix --connect --version --help"""


def _bash_values(parameter: VerbParameter) -> str:
    if parameter.kind is ValueKind.CHOICE:
        return "_insula_add " + " ".join(map(_quoted, parameter.choices))
    if parameter.kind in _LISTS:
        return f"_insula_names {_LISTS[parameter.kind]}"
    return {ValueKind.FILE: "_insula_files -f", ValueKind.DIRECTORY: "_insula_files -d"}.get(parameter.kind, ":")


def _bash_verb(syntax: Syntax) -> Iterable[str]:
    yield f"        {_quoted(syntax.verb.words)})"
    valued = [each for each in syntax.options if each.value]
    if valued:
        yield '            case "$prev" in'
        for each in valued:
            yield f"                {'|'.join(each.names)}) {_bash_values(each)}; return ;;"
        yield "            esac"
    names = [name for each in syntax.options for name in each.names] + ["--help"]
    yield f"            if [[ $cur == -* ]]; then _insula_add {' '.join(names)}; return; fi"
    word = _word_kind(syntax)
    if word is not None:
        yield f"            {_bash_values(word)}"
    yield "            ;;"


def bash() -> str:
    """The script that bash sources."""
    lines = [_BASH_HEAD + " " + " ".join(map(_quoted, _heads())), "        return", "    fi"]
    lines += ["    verb=${COMP_WORDS[at]}", '    case "$verb" in']
    for head in _heads():
        if seconds := _seconds(head):
            lines += [
                f"        {head})",
                f"            if ((at + 1 == COMP_CWORD)); then _insula_add {' '.join(seconds)}; return; fi",
                '            verb="$verb ${COMP_WORDS[at+1]}" ;;',
            ]
    lines += ["    esac", '    for each in "${COMP_WORDS[@]:at:COMP_CWORD-at}"; do']
    lines += ["        [[ $each == -- ]] && return", "    done", '    case "$verb" in']
    for syntax in _syntaxes():
        lines += _bash_verb(syntax)
    return "\n".join([*lines, "    esac", "}", "complete -F _insula insula", ""])


# zsh

_ZSH_HEAD = r"""#compdef insula
# zsh completion of insula; made from its table of verbs.

_insula_names() {  # VERB...: what this verb prints, a name a line
    local -a names
    names=("${(@f)$(insula $prefix "$@" 2> /dev/null)}")
    compadd -a names
}
_insula_domains() { _insula_names ls -q }
_insula_images() { _insula_names image ls -q }

_insula() {
    local -a prefix verbs
    local at=2 verb
    while ((at < CURRENT)) && [[ $words[at] == -* ]]; do
        if [[ $words[at] == (--prefix|--connect|-c) ]]; then
            prefix=($words[at] $words[at+1]); ((at += 2))
        else
            ((at += 1))
        fi
    done
    if ((at > CURRENT)); then _files -/; return; fi
    if ((at == CURRENT)); then"""

_ZSH_VALUES = {
    ValueKind.DOMAIN: "_insula_domains",
    ValueKind.IMAGE: "_insula_images",
    ValueKind.FILE: "_files",
    ValueKind.DIRECTORY: "_files -/",
    ValueKind.OTHER: "",
}


def _zsh_text(text: str) -> str:
    """What stands in a description of _arguments and _describe."""
    return "".join(f"\\{each}" if each in "[]:\\" else each for each in text)


def _zsh_values(parameter: VerbParameter) -> str:
    if parameter.kind is ValueKind.CHOICE:
        return f"({' '.join(parameter.choices)})"
    return _ZSH_VALUES[parameter.kind]


def _zsh_option(parameter: VerbParameter) -> Iterable[str]:
    value = f":{_zsh_text(parameter.value)}:{_zsh_values(parameter)}" if parameter.value else ""
    for name in parameter.names:
        yield _quoted(f"*{name}[{_zsh_text(parameter.explanation)}]{value}")


def _zsh_words(syntax: Syntax) -> Iterable[str]:
    for each in syntax.words:
        place = "*" if each.several else ""
        yield _quoted(f"{place}:{_zsh_text(each.value)}:{_zsh_values(each)}")
    if syntax.verb.command:
        yield _quoted("*::command: _normal")


def zsh() -> str:
    """The function that zsh loads."""
    summaries = {head: next(each.summary for each in VERBS if each.words.split()[0] == head) for head in _heads()}
    lines = [_ZSH_HEAD, "        verbs=("]
    for head, summary in summaries.items():
        shown = f"{head} {', '.join(_seconds(head))}" if _seconds(head) else summary
        lines.append(f"            {_quoted(f'{head}:{_zsh_text(shown)}')}")
    lines += ["        )", "        _describe verb verbs", "        return", "    fi", "    verb=$words[at]"]
    lines += ['    case "$verb" in']
    for head in _heads():
        if seconds := _seconds(head):
            lines += [
                f"        {head})",
                f"            if ((at + 1 == CURRENT)); then compadd {' '.join(seconds)}; return; fi",
                "            ((at += 1))",
                '            verb="$verb $words[at]" ;;',
            ]
    lines += ["    esac", "    shift $((at - 1)) words", "    ((CURRENT -= at - 1))", '    case "$verb" in']
    for syntax in _syntaxes():
        specs = ["'(- *)--help[show every option]'"]
        specs += [spec for each in syntax.options for spec in _zsh_option(each)]
        specs += _zsh_words(syntax)
        lines.append(f"        {_quoted(syntax.verb.words)})")
        lines += [f"            _arguments -S {specs[0]} \\"] + [f"                {each} \\" for each in specs[1:]]
        lines[-1] = lines[-1].removesuffix(" \\") + " ;;"
    return "\n".join([*lines, "    esac", "}", '_insula "$@"', ""])


# fish

_FISH_HEAD = r"""# fish completion of insula; made from its table of verbs.

function __insula_words # the words so far, without the program and the options before the verb
    set -l words (commandline -opc)
    set -e words[1]
    while string match -q -- '-*' "$words[1]"
        if contains -- "$words[1]" --prefix --connect -c
            set -e words[1]
        end
        set -e words[1]
    end
    if set -q words[1]
        printf '%s\n' $words
    end
end
function __insula_verb # VERB...: whether the words so far begin with these
    set -l words (__insula_words)
    test (count $words) -ge (count $argv); or return
    set -l head $words[1..(count $argv)]
    test "$head" = "$argv"
end
function __insula_at # VERB...: whether these are all the words so far
    set -l words (__insula_words)
    test (count $words) -eq (count $argv); and test "$words" = "$argv"
end
function __insula_names # VERB...: what this verb prints, a name a line
    set -l all (commandline -opc)
    if set -l at (contains -i -- --prefix $all)
        insula --prefix $all[(math $at + 1)] $argv 2>/dev/null
    else if set -l at (contains -i -- --connect $all; or contains -i -- -c $all)
        insula --connect $all[(math $at + 1)] $argv 2>/dev/null
    else
        insula $argv 2>/dev/null
    end
end
complete -c insula -f
complete -c insula -n __insula_at -l prefix -x -a '(__fish_complete_directories)' -d 'the installation to use'
complete -c insula -n __insula_at -s c -l connect -x -d 'the daemon to use, also of another host'
complete -c insula -n __insula_at -l version -d 'show versions and exit'
"""


def _fish_values(parameter: VerbParameter) -> str:
    if parameter.kind is ValueKind.CHOICE:
        return f" -x -a {_quoted(' '.join(parameter.choices))}"
    if parameter.kind in _LISTS:
        return f" -x -a '(__insula_names {_LISTS[parameter.kind]})'"
    return " -r -F" if parameter.kind in (ValueKind.FILE, ValueKind.DIRECTORY) else " -x"


def _fish_option(condition: str, parameter: VerbParameter) -> str:
    flags = "".join(f" -l {each[2:]}" if each.startswith("--") else f" -s {each[1:]}" for each in parameter.names)
    values = _fish_values(parameter) if parameter.value else ""
    return f"complete -c insula -n {condition}{flags}{values} -d {_quoted(parameter.explanation)}"


def fish() -> str:
    """The file that fish reads."""
    lines = [_FISH_HEAD.rstrip()]
    for head in _heads():
        summary = next((each.summary for each in VERBS if each.words == head), ", ".join(_seconds(head)))
        lines.append(f"complete -c insula -n __insula_at -a {head} -d {_quoted(summary)}")
        for each in VERBS:
            if each.words.startswith(f"{head} "):
                second = each.words.split()[1]
                lines.append(f"complete -c insula -n '__insula_at {head}' -a {second} -d {_quoted(each.summary)}")
    for syntax in _syntaxes():
        condition = f"'__insula_verb {syntax.verb.words}'"
        lines += [_fish_option(condition, each) for each in syntax.options]
        word = _word_kind(syntax)
        if word is not None:
            values = _fish_values(word).replace(" -x", "").replace(" -r", "")
            lines.append(f"complete -c insula -n {condition}{values}")
    return "\n".join([*lines, ""])


COMPLETIONS: Final[dict[str, Callable[[], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
