"""The processes of dnsmasq: started, found again by a later daemon, told of changes, ended.

Nobody of ours is a dnsmasq's parent: it outlives the daemon that started it. By its pid and the time of its start it is
the same for good; by the path of its configuration, which no other process names, it is found where nobody wrote those
down. So is its launcher, while it is on its way.
"""

import errno
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.kernel.durable import Durability, replace_file
from insula.kernel.processidentity import Command, ProcessIdentity, ended, identity_of, processes_where, signalled
from insula.network.virtual.dnsmasq import CONFIGURATION, GUESTS, NAMES, RUNNING_GUESTS, RUNNING_NAMES, DnsmasqFiles
from insula.network.virtual.dnsmasqlauncher import LAUNCHER, USER, DnsmasqLaunch, launched_configuration

_START_PATIENCE = 60.0
"""Seconds that a start may take on a host that is very busy; then it is killed."""
_VERSION = re.compile(r"Dnsmasq version (\S+)")
_OPTIONS = re.compile(r"^Compile time options: (.*)$", re.MULTILINE)
_WITHOUT_DHCP6 = "no-DHCPv6"


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsmasqProgram:
    """The dnsmasq that the host has. options: what it was built with, and without (`no-…`)."""

    path: str
    version: str
    options: frozenset[str]


def installed_dnsmasq() -> DnsmasqProgram:
    """Return the host's dnsmasq. Raises: OperationUnsupportedError that says what to install."""
    path = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise OperationUnsupportedError("there is no dnsmasq, which serves addresses and names: install dnsmasq-base")
    told = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=_START_PATIENCE, check=False
    ).stdout
    version, options = _VERSION.search(told), _OPTIONS.search(told)
    if version is None:
        raise OperationUnsupportedError(f"{path} does not say that it is dnsmasq: install dnsmasq-base")
    return DnsmasqProgram(
        path=path, version=version[1], options=frozenset(options[1].split() if options is not None else ())
    )


class DnsmasqProcess:
    """The dnsmasq of one network, whether or not it runs.

    directory: where its files are; leases: its file of leases, which stays.
    """

    def __init__(self, directory: Path, leases: Path) -> None:
        self.directory = directory
        self.leases = leases

    @property
    def configuration(self) -> Path:
        return self.directory / CONFIGURATION

    def start(self, files: DnsmasqFiles, program: DnsmasqProgram) -> ProcessIdentity:
        """Start it, after whatever of it still runs has been ended; return once it serves.

        Raises: OperationFailedError with dnsmasq's own words; OSError.
        """
        if (
            files.configuration
            and _WITHOUT_DHCP6 in program.options
            and "enable-ra" in files.configuration.splitlines()
        ):
            raise OperationUnsupportedError(f"dnsmasq {program.version} was built without DHCPv6, which IPv6 takes")
        self.end()
        self._write(files)
        self._give_leases()
        launch = DnsmasqLaunch(
            program=program.path,
            directory=str(self.directory),
            configuration=str(self.configuration),
            leases=str(self.leases),
            shown=tuple(map(str, files.shown)),
        )
        try:
            result = subprocess.run(
                [*LAUNCHER, launch.to_json()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_START_PATIENCE,
                check=False,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        except subprocess.TimeoutExpired as error:
            self.end()
            raise OperationFailedError(f"dnsmasq does not serve after {_START_PATIENCE:.0f} s, and is ended") from error
        if result.returncode:
            self.end()
            said = result.stderr.strip().splitlines() or [f"it ended with {result.returncode}"]
            raise OperationFailedError(f"dnsmasq does not start: {said[-1].removeprefix('dnsmasq: ')}")
        return identity_of(int(result.stdout))

    def _write(self, files: DnsmasqFiles) -> None:
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, text in ((CONFIGURATION, files.configuration), (GUESTS, files.guests), (NAMES, files.names)):
            replace_file(self.directory / name, text.encode(), Durability.PROCESS_DEATH, mode=0o644)
        for name in (RUNNING_GUESTS, RUNNING_NAMES):
            if not (self.directory / name).exists():
                replace_file(self.directory / name, b"", Durability.PROCESS_DEATH, mode=0o644)

    def name_guests(self, files: Mapping[str, str]) -> bool:
        """Write the files of running guests' names; tell whether there was anything new in them.

        Raises: FileNotFoundError if it does not run, and has no files.
        """
        changed = {name: text for name, text in files.items() if self._read(name) != text}
        for name, text in changed.items():
            replace_file(self.directory / name, text.encode(), Durability.PROCESS_DEATH, mode=0o644)
        return bool(changed)

    def _give_leases(self) -> None:
        """Have a file of leases that it can write to."""
        user = pwd.getpwnam(USER)
        self.leases.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self.leases, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchown(descriptor, user.pw_uid, user.pw_gid)
        finally:
            os.close(descriptor)

    def changed(self, files: DnsmasqFiles) -> bool:
        """Write what it reads again while it runs; tell whether it must be started anew for what it does not.

        Whoever gets False still has to `tell` it.
        """
        if self._read(CONFIGURATION) != files.configuration:
            return True
        self._write(files)
        return False

    def same(self, files: DnsmasqFiles) -> bool:
        """Whether its files say just this."""
        return (self._read(CONFIGURATION), self._read(GUESTS), self._read(NAMES)) == (
            files.configuration,
            files.guests,
            files.names,
        )

    def _read(self, name: str) -> str | None:
        try:
            return (self.directory / name).read_text()
        except (OSError, ValueError):
            return None

    def tell(self, identity: ProcessIdentity) -> bool:
        """Have it read its lists again; tell whether it lives."""
        return signalled(identity, signal.SIGHUP)

    def end(self) -> None:
        """End it, however many there are, and what is on its way to be one. Leases and files stay.

        A daemon that died leaves the launcher that it had begun: it goes on, and would start one beside the next one's.
        Raises: OperationFailedError if one does not end.
        """
        # A launcher that is ended may have begun a dnsmasq meanwhile, and a dnsmasq the process that serves.
        while found := processes_where(self._recognition(starting=True)):
            if left := ended(found, (signal.SIGTERM, signal.SIGKILL)):
                numbers = ", ".join(str(each.pid) for each in left)
                raise OperationFailedError(f"dnsmasq, process {numbers}, does not end though it was killed")

    def running(self) -> list[ProcessIdentity]:
        """Return those whose command line ends as the one that we start it with: nobody else's names this file.

        What stands before that is not ours to say: a host's dnsmasq may be a script.
        Others, guests' processes too, can name it if they want to: so only those count that are the user it runs as, in
        the network namespace of the thread that asks, and what passes for one of them is ended for its pains.
        """
        return processes_where(self._recognition(starting=False))

    def _recognition(self, *, starting: bool) -> Callable[[Command, Path], bool]:
        """Return what tells ours from others. starting: launchers are ours too, who are root until they are nobody."""
        own = b"--conf-file=" + os.fsencode(self.configuration)
        configuration = str(self.configuration)
        here = os.stat("/proc/thread-self/ns/net")
        user = pwd.getpwnam(USER).pw_uid

        def is_ours(command: Command, process: Path) -> bool:
            launches = starting and launched_configuration(command) == configuration
            if command[-1] != own and not launches:
                return False
            there = os.stat(process / "ns/net")
            users = (0, user) if launches else (user,)
            return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and _user_of(process) in users

        return is_ours

    def remove(self) -> None:
        """Remove its files, but the leases."""
        for last in (False, False, True):
            try:
                shutil.rmtree(self.directory)
            except FileNotFoundError:
                return
            except OSError as error:
                # The name of a guest that ends just now is written at the same time.
                if last or error.errno != errno.ENOTEMPTY:
                    raise


def _user_of(process: Path) -> int:
    """Return the real user of a process, by its directory in /proc."""
    lines = (process / "status").read_text(errors="replace").splitlines()
    return int(next(line for line in lines if line.startswith("Uid:")).split()[1])
