"""How guests of a fake host are found again: as the real ones, by what the host's memory says."""

from insula.engine.keeper.link import KeeperLink
from insula.engine.launch.guestlabels import GuestLabel, GuestLabels
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.launch.succession import Succession
from insula.errors import OperationFailedError
from insula.kernel.fds import Fd
from insula.testing.fakefacts import FACTS
from insula.testing.fakehost import FakeHost
from insula.testing.fakerunning import FakeRunning


class FakeSuccession(Succession):
    """Asks a fake host what the kernel would be asked."""

    def __init__(self, host: FakeHost, link: KeeperLink) -> None:
        super().__init__(facts=FACTS, link=link, installation="")
        self._host = host

    @property
    def boot(self) -> str:
        return self._host.boot

    def handle(self, record: ContainerRecord) -> Running:
        return FakeRunning.of(record, self._host)

    def labels(self) -> GuestLabels:
        found = [
            GuestLabel(record=ContainerRecord.decode(dict(each.label)), data=each.label)
            for each in self._host.groups.values()
            if each.label
        ]
        living = [each for each in found if self._lives(each.record)]
        return GuestLabels(living=tuple(living), relics=tuple(each for each in found if each not in living))

    def _lives(self, record: ContainerRecord) -> bool:
        process = self._host.processes.get(record.pid)
        return record.boot == self.boot and process is not None and process.born == record.born

    def _opened(self, record: ContainerRecord) -> Fd:
        if not self._lives(record):
            raise ProcessLookupError(record.pid)
        return self._pidfd_of(record.pid)

    def _pidfd_of(self, pid: int) -> Fd:
        return self._host.opened(pid)

    def _seen(self, pid: int) -> tuple[str, int]:
        process = self._host.processes.get(pid)
        if process is None:
            raise OperationFailedError(f"the control group of process {pid} cannot be told")
        return process.group, process.born
