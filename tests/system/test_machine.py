"""The emulated machine, seen from the host that boots it."""

import io
from pathlib import Path

import pytest

from tests.machine import machine
from tests.machine.machine import Job, MachineError

pytestmark = pytest.mark.requires("machine-image")


def test_a_command_gives_its_output_status_and_files(scratch: Path) -> None:
    output = io.BytesIO()
    command = 'echo "$INSULA_TEST_HOST"; test -f pyproject.toml && echo made > "$INSULA_TEST_ARTIFACTS/file"; exit 7'
    job = Job(command=["sh", "-c", command], artifacts=scratch / "artifacts", timeout=300)
    assert machine.run(job, output) == 7
    assert output.getvalue() == b"machine\n"
    assert (scratch / "artifacts/file").read_text() == "made\n"


def test_a_panic_is_the_machines_failure_and_its_console_is_told() -> None:
    job = Job(command=["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60"], timeout=300)
    with pytest.raises(MachineError, match="Kernel panic"):
        machine.run(job, io.BytesIO())


def test_a_machine_that_hangs_is_ended() -> None:
    with pytest.raises(MachineError, match="the machine ran for 1 s"):
        machine.run(Job(command=["sleep", "600"], timeout=1), io.BytesIO())
