"""Where audit records go: to a kernel that keeps them, else to the log, and never nowhere."""

import logging
import struct
import threading

import pytest

from insula.daemon.auditrecorder import WAITING_MAX, AuditRecorder
from insula.errors import ConfigurationError
from insula.kernel.audit import AuditKind, KernelAudit
from tests.waiting import patience, until


class Kernel(KernelAudit):
    """Keeps what it is told, if it is on; may wait, or refuse."""

    def __init__(self, *, on: bool = True, refusal: Exception | None = None) -> None:
        self.on = on
        self.refusal = refusal
        self.records: list[tuple[AuditKind, str]] = []
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    @property
    def enabled(self) -> bool:
        return self.on

    def record(self, kind: AuditKind, text: str) -> None:
        self.asked.set()
        assert self.gate.wait(patience(60))
        if self.refusal is not None:
            raise self.refusal
        self.records.append((kind, text))

    def close(self) -> None:
        self.closed = True


def recorded(kernel: Kernel, *, level: int = 1, logged: bool = False, times: int = 1) -> None:
    recorder = AuditRecorder(level=level, logged=logged, opened=lambda: kernel)
    for number in range(times):
        recorder.record(AuditKind.CONTROL, f"record {number}")
    kernel.gate.set()
    recorder.close()


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_kernel_that_keeps_records_has_them_in_order(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    recorded(kernel, times=3)
    assert kernel.records == [(AuditKind.CONTROL, f"record {number}") for number in range(3)] and kernel.closed
    assert "record" not in caplog.text
    recorded(Kernel(), logged=True)
    assert "record 0" in caplog.text


def test_without_one_they_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(on=False)
    recorded(kernel)
    assert "record 0" in caplog.text and not kernel.records and kernel.closed

    def absent() -> KernelAudit:
        raise OSError("no audit")

    recorder = AuditRecorder(level=1, logged=False, opened=absent)
    recorder.record(AuditKind.RESOURCE, "another")
    recorder.close()
    assert "another" in caplog.text


def test_nothing_is_kept_where_nothing_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    recorded(kernel, level=0, logged=True)
    assert not kernel.records and "record" not in caplog.text


def test_no_daemon_runs_without_records_that_must_be_kept() -> None:
    recorded(Kernel(), level=2)
    with pytest.raises(ConfigurationError, match="audit_level is 2"):
        recorded(Kernel(on=False), level=2)


def test_what_the_kernel_does_not_take_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    recorded(Kernel(refusal=PermissionError(1, "no")))
    assert "did not take an audit record" in caplog.text and "record 0" in caplog.text


def test_a_kernel_that_takes_nothing_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    kernel.gate.clear()
    recorded(kernel, times=WAITING_MAX + 3)
    assert len(kernel.records) >= WAITING_MAX
    assert "the kernel does not take audit records: record" in caplog.text


def test_whatever_goes_wrong_with_one_the_next_is_written(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(refusal=struct.error("short"))
    recorder = AuditRecorder(level=1, logged=False, opened=lambda: kernel)
    recorder.record(AuditKind.CONTROL, "first")
    until(lambda: "first" in caplog.text, "the first being told", 60)
    kernel.refusal = None
    recorder.record(AuditKind.CONTROL, "second")
    recorder.close()
    assert kernel.records == [(AuditKind.CONTROL, "second")]


def test_what_a_kernel_would_drop_since_audit_was_switched_off_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    recorder = AuditRecorder(level=1, logged=False, opened=lambda: kernel)
    kernel.on = False
    recorder.record(AuditKind.CONTROL, "later")
    recorder.close()
    assert not kernel.records and "later" in caplog.text


def test_what_waits_at_the_end_and_is_not_taken_is_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.daemon.auditrecorder._END_SECONDS", 0.01)
    kernel = Kernel()
    kernel.gate.clear()
    recorder = AuditRecorder(level=1, logged=False, opened=lambda: kernel)
    for number in range(WAITING_MAX + 1):
        recorder.record(AuditKind.CONTROL, f"record {number}.")
        if not number:
            assert kernel.asked.wait(patience(60))
    recorder.close()
    kernel.gate.set()
    assert "record 1." in caplog.text and f"record {WAITING_MAX}." in caplog.text
