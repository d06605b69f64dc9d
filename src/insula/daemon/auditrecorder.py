"""Where audit records go: to the kernel's audit where that is switched on, else to the daemon's log; in one thread.

Nothing waits for a record. What the kernel does not take goes to the log, so nothing is lost without a word.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

from insula.errors import ConfigurationError
from insula.kernel.audit import AuditKind, KernelAudit

WAITING_MAX: Final = 4096
"""Records that may wait for the kernel; further ones go to the log at once."""
_END_SECONDS: Final = 10.0

_logger = logging.getLogger("insula.audit")


class AuditRecorder:
    """level: 0 for no records, 1 for the kernel or else the log, 2 for the kernel or no daemon; logged: in both.

    Raises: ConfigurationError if level is 2 and the kernel keeps no records.
    """

    def __init__(self, *, level: int, logged: bool, opened: Callable[[], KernelAudit] = KernelAudit) -> None:
        self._level = level
        self._kernel = _enabled(opened) if level else None
        if level > 1 and self._kernel is None:
            raise ConfigurationError(
                "audit_level is 2, and the kernel keeps no audit records: switch audit on (auditctl -e 1), or set 1"
            )
        self._logged = logged or self._kernel is None
        self._waiting: queue.Queue[tuple[AuditKind, str] | None] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None
        if self._kernel is not None:
            self._thread = threading.Thread(target=self._work, args=(self._kernel,), name="audit", daemon=True)
            self._thread.start()

    def record(self, kind: AuditKind, text: str) -> None:
        """Take a record. Never waits, never fails."""
        if not self._level:
            return
        if self._logged:
            _logger.info("%s", text)
        if self._kernel is not None:
            try:
                self._waiting.put_nowait((kind, text))
            except queue.Full:
                _logger.error("the kernel does not take audit records: %s", text)

    def close(self) -> None:
        """Return once what waits has been written, or the kernel has had some seconds for it."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_END_SECONDS)
            self._thread = None

    def _work(self, kernel: KernelAudit) -> None:
        while (waiting := self._waiting.get()) is not None:
            kind, text = waiting
            try:
                kernel.record(kind, text)
            except OSError as error:
                _logger.error("the kernel did not take an audit record (%s): %s", error, text)
        kernel.close()


def _enabled(opened: Callable[[], KernelAudit]) -> KernelAudit | None:
    try:
        kernel = opened()
    except OSError:
        return None
    try:
        if kernel.enabled:
            return kernel
    except OSError as error:
        _logger.warning("the kernel's audit cannot be asked whether it is switched on: %s", error)
    kernel.close()
    return None
