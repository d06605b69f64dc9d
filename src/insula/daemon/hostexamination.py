"""insulad doctor: what the host lacks, where no daemon runs that could be asked.

    insulad [--prefix DIR] [--config FILE] doctor

It prints one JSON document, as the daemon's own answer is, and changes nothing. `insula doctor` runs it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from insula.daemon.config import load
from insula.engine.hostcheck import Gravity, HostCheck, fine
from insula.errors import ConfigurationError, InsulaError
from insula.layout import Layout, layout_from
from insula.service.daemondoctor import examine_host, told

NAME: Final = "doctor"


def main(argv: Sequence[str] | None = None) -> int:
    """Examine the host; return the exit status."""
    options = command_line().parse_args(argv)
    try:
        layout = layout_from(options.prefix)
        checks = [settings_check(layout, options.config), *examine_host(layout)]
    except InsulaError as error:
        sys.stderr.write(f"insulad doctor: {error}\n")
        return error.exit_status
    sys.stdout.write(json.dumps(told(checks, daemon=False)) + "\n")
    return 0


def settings_check(layout: Layout, file: Path | None) -> HostCheck:
    """Whether a daemon that begins now would understand its settings."""
    try:
        load(layout, file)
    except ConfigurationError as error:
        return HostCheck(
            id="settings.readable",
            gravity=Gravity.ERROR,
            found=str(error),
            costs="insulad does not start, and one that runs keeps the settings that it has",
            remedy="mend the file",
        )
    return fine("settings.readable", "the settings can be read")


def command_line() -> argparse.ArgumentParser:
    """The parser of the words behind `doctor`."""
    parser = argparse.ArgumentParser(prog="insulad doctor", description="Tell what the host lacks, as one document.")
    parser.add_argument("--prefix", metavar="DIR", help="the installation to examine")
    parser.add_argument("--config", metavar="FILE", type=Path, help="the settings, as for insulad itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
