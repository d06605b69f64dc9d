"""What stands before a verb, and the help that lists all verbs."""

import argparse

from insula.cli.commandparser import CommandParser
from insula.cli.verbtable import VERBS
from insula.layout import PREFIX_VARIABLE

PLACES = {"--prefix": "DIR", "--connect": "URI"}
"""What says which daemon is meant, and stands before the verb."""
EPILOGUE = """exit status: 0 done, 1 failed, 2 wrong usage or definition, 3 not in this state, 4 not found,
5 refused, 6 not supported, 7 not in time, 130 interrupted. `exec` and `run` with a command end as the
command did: its status, 128 + N if signal N killed it, 126 or 127 if it could not be executed or found,
125 if Insula itself failed; wrong usage is 2 there, too."""


def top_parser() -> argparse.ArgumentParser:
    """The parser of what stands before a verb."""
    width = max(len(verb.words) for verb in VERBS)
    verbs = "\n".join(f"  {verb.words:<{width}}  {verb.summary}" for verb in VERBS)
    parser = CommandParser(
        prog="insula",
        usage="insula [--prefix DIR | --connect URI] VERB ...",
        description=f"Linux system containers with the manners of virtual machines.\n\nverbs:\n{verbs}",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prefix", help=f"the installation to use (default: ${PREFIX_VARIABLE}, else the system's)")
    parser.add_argument(
        "-c",
        "--connect",
        metavar="URI",
        help="the daemon to use, also of another host: lxc+ssh://HOST/system (default: $INSULA_DEFAULT_URI)",
    )
    parser.add_argument("--version", action="store_true", help="show versions and exit")
    return parser
