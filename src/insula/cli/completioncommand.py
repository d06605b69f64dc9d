"""completion: what a shell needs to complete this command line."""

import argparse

from insula.cli.shellcompletion import COMPLETIONS
from insula.cli.terminal import write_all


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(COMPLETIONS), help="whose words it is written in")
    parser.epilog = (
        "For bash: source <(insula completion bash). For zsh: save it as _insula in a directory of $fpath. "
        "For fish: insula completion fish | source."
    )


def _completion(options: argparse.Namespace) -> int:
    write_all(COMPLETIONS[options.shell]().encode())
    return 0


ARGUMENTS = {"completion": _completion_arguments}
RUN_ALONE = {"completion": _completion}
