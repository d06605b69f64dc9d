"""Handles of a fake host's guests."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from typing import cast

from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.kernel.cgroups import Cgroup
from insula.kernel.process import has_ended
from insula.testing.fakehost import FakeHost


@dataclass(kw_only=True, slots=True, eq=False)
class FakeRunning(Running):
    """A container on a fake host, whose pidfd is a descriptor that only tells of its end."""

    host: FakeHost

    @staticmethod
    def of(record: ContainerRecord, host: FakeHost) -> FakeRunning:
        """Return a handle without fds."""
        return FakeRunning(record=record, group=cast("Cgroup", host.group(record.group)), host=host)

    def signal(self, number: int) -> None:
        process = self.host.processes.get(self.pid)
        if process is None or self.pidfd < 0:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        if number == signal.SIGKILL:
            self.host.kill(process)
        else:
            self.host.signals.append((self.uuid, number))

    def ends_within(self, seconds: float) -> bool:
        """Tell whether it has ended: nobody waits."""
        return has_ended(self.pidfd)
