"""Where audit records go: to the kernel's audit where that is switched on, else to the daemon's log; in one thread.

Nothing waits for a record. What the kernel does not take goes to the log, so nothing is lost without a word.
"""

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
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
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        if self._kernel is not None:
            self._thread = threading.Thread(target=self._work, args=(self._kernel,), name="audit", daemon=True)
            self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether records are kept anywhere."""
        return self._level > 0

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
        """Return once what waits has been written; what the kernel has not taken in some seconds goes to the log."""
        if self._thread is None:
            return
        self._ending.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)  # which only wakes who waits
        self._thread.join(_END_SECONDS)
        self._thread = None
        while left := self._next():
            _logger.error("the kernel does not take audit records: %s", left[1])

    def _next(self) -> tuple[AuditKind, str] | None:
        """Return what waits, None if nothing does."""
        with suppress(queue.Empty):
            while (waiting := self._waiting.get_nowait()) is None:
                pass
            return waiting
        return None

    def _work(self, kernel: KernelAudit) -> None:
        """Write what comes, and at the end what is there; nothing that goes wrong ends it before."""
        while True:
            waiting = self._next() if self._ending.is_set() else self._waiting.get()
            if waiting is not None:
                self._write(kernel, *waiting)
            elif self._ending.is_set():
                break
        kernel.close()

    def _write(self, kernel: KernelAudit, kind: AuditKind, text: str) -> None:
        try:
            if kernel.enabled:
                kernel.record(kind, text)
            elif not self._logged:
                _logger.info("%s", text)  # audit was switched off meanwhile: the kernel would drop it, and say nothing
        except Exception as error:
            _logger.error("the kernel did not take an audit record (%s): %s", error, text)


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
