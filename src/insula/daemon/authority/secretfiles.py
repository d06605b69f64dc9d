"""Files that prove something only while nobody else can read or write them: passwords' keys, keys of Kerberos."""

import os
import stat
from pathlib import Path
from typing import Final

from insula.errors import ConfigurationError

_ROOT: Final = 0


def check_secrecy(path: Path, found: os.stat_result, what: str) -> None:
    """Refuse a file that is not its owner's alone, and root's or this daemon's own user's.

    found: what fstat(2) or stat(2) says of it; what: `file of users`. Raises: ConfigurationError.
    """
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path} is no {what}, for it is no regular file")
    if found.st_mode & 0o077:
        raise ConfigurationError(f"others than its owner may use {path}: it proves nothing then; chmod it to 0600")
    if found.st_uid not in (_ROOT, os.geteuid()):
        raise ConfigurationError(f"{path} is another user's: chown it to root")
