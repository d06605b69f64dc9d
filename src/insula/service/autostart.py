"""Domains with autostart are started once a boot of the host, as by libvirt's own drivers, not with every daemon."""

import logging
from pathlib import Path

from insula.kernel.durable import Durability, replace_file

LOGGER = logging.getLogger(__name__)

MARK = "autostarted"


class Autostart:
    """Remembers, in a file that holds the boot's id, that they were started. directory: the installation's below /run.

    The id is compared, not only looked for: a prefix may lie on a disk.
    """

    def __init__(self, directory: Path, boot_id: str) -> None:
        self._mark = directory / MARK
        self._boot_id = boot_id

    @property
    def is_due(self) -> bool:
        """Whether no daemon has gone through them in this boot."""
        try:
            return self._mark.read_text() != self._boot_id
        except (OSError, UnicodeDecodeError):
            return True

    def done(self) -> None:
        """No daemon of this boot starts them again."""
        try:
            self._mark.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(self._mark, self._boot_id.encode(), Durability.PROCESS_DEATH)
        except OSError as error:
            LOGGER.error("the next daemon will start the domains with autostart again: %s", error)
