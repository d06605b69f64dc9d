"""`python -m tests.machine run [--boot systemd] [--root debian-12] -- COMMAND...`: its exit status, or 125."""

import argparse
import signal
import sys
from pathlib import Path

from tests.machine.image import image
from tests.machine.machine import Boot, Job, main


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description="The emulated test machine.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="build the machine's image, if it is not there yet, and say where it is")
    run = verbs.add_parser("run", help="boot, run a command in the checkout, and end with its exit status")
    run.add_argument("--boot", type=Boot, choices=list(Boot), default=Boot.MINIMAL, help="with which first process")
    run.add_argument("--root", action="append", default=[], metavar="NAME", help="bring debian-13, host-13, ... along")
    run.add_argument(
        "--artifacts", type=Path, metavar="DIR", help="put what the command left in $INSULA_TEST_ARTIFACTS"
    )
    run.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE", help="set it for the command")
    run.add_argument("--timeout", type=float, default=2400, metavar="SECONDS", help="for the whole boot (default 2400)")
    run.add_argument("command", nargs="+", help="after --: the command and its words")
    return parser


signal.signal(signal.SIGTERM, signal.default_int_handler)  # a terminated run ends its machine and removes its files
arguments = _parser().parse_args()
if arguments.verb == "build":
    print(image().disk)
    sys.exit(0)
sys.exit(
    main(
        Job(
            command=arguments.command,
            boot=arguments.boot,
            roots=arguments.root,
            environment=dict(each.split("=", 1) for each in arguments.environment),
            artifacts=arguments.artifacts,
            timeout=arguments.timeout,
        )
    )
)
