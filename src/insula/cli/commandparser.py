"""The parser of command lines whose help, where it cannot be written, is not taken for written."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class CommandParser(argparse.ArgumentParser):
    """Raises: OSError if help or a version cannot be written. From Python 3.12 on argparse would keep silent."""

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        if message:
            (file or sys.stderr).write(message)
