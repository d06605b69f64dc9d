"""Starting a dnsmasq that is nobody, in a view of the host that has only what it needs.

    python -I -c "from insula.network.virtual.dnsmasqlauncher import main; main()" LAUNCH

LAUNCH is a `DnsmasqLaunch` as JSON. Printed is the pid of the dnsmasq once it serves; else dnsmasq's own words stand on
the standard error, and its exit status is ours.

dnsmasq is never root: it begins as nobody with the three capabilities that it insists on (to bind ports below 1024, to
send raw packets, to write into the neighbour table), with no_new_privs. Its root is a file system in memory with the
host's programs and settings, read-only, the directory of its configuration, and its file of leases, the only one that
it may write to.
"""

import json
import os
import pwd
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from insula.kernel.privileges import become_with, set_no_new_privileges
from insula.kernel.process import CloneFlag, unshare
from insula.kernel.processidentity import Command
from insula.network.sealedview import PROGRAMS, SETTINGS, SealedView, enter_view, resolver_directories, seal

LAUNCHER = (sys.executable, "-I", "-c", f"from {__name__} import main; main()")
"""The words before a launch's JSON."""

USER = "nobody"
CAPABILITIES = ("net_admin", "net_raw", "net_bind_service")
OWN = "/own"
"""The directory that is dnsmasq's own, in memory, seen by nobody else: there it writes its pid."""

_DEVICES = ("/dev/null", "/dev/urandom", "/dev/log")
_MOST_FILES = 4096


@dataclass(frozen=True, kw_only=True)
class DnsmasqLaunch:
    """A dnsmasq to be started. program: its path; directory: where its configuration is; leases: the file of leases;
    shown: further directories of the host that it may read.
    """

    program: str
    directory: str
    configuration: str
    leases: str
    shown: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def launched_configuration(command: Command) -> str | None:
    """Return which configuration a process is on its way to start a dnsmasq with, None if it is no launcher.

    command: the words of any process, which may say anything; of a launcher's, the path of the interpreter may differ.
    """
    if len(command) != len(LAUNCHER) + 1 or command[1:-1] != tuple(map(os.fsencode, LAUNCHER[1:])):
        return None
    try:
        launch = json.loads(command[-1])
    except (ValueError, RecursionError):
        return None
    configuration = launch.get("configuration") if isinstance(launch, dict) else None
    return configuration if isinstance(configuration, str) else None


def main() -> NoReturn:
    launch = DnsmasqLaunch(**json.loads(sys.argv[1]))
    os.umask(0o022)
    user = pwd.getpwnam(USER)
    unshare(CloneFlag.NEWNS | CloneFlag.NEWIPC)
    enter_view(
        SealedView(
            shown=(*PROGRAMS, *SETTINGS, *_DEVICES, *resolver_directories(), launch.directory, *launch.shown),
            written=(launch.leases,),
            own=OWN,
            owner=(user.pw_uid, user.pw_gid),
        )
    )
    child = os.fork()
    if not child:
        _become(launch, user)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        os.write(sys.stdout.fileno(), Path(OWN, "pid").read_bytes())
        seal()  # nothing but the leases is written any more
    os._exit(code if code >= 0 else 128 - code)


def _become(launch: DnsmasqLaunch, user: pwd.struct_passwd) -> NoReturn:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        os.umask(0o077)
        become_with(CAPABILITIES, uid=user.pw_uid, gid=user.pw_gid)
        set_no_new_privileges()
        os.execv(launch.program, ("dnsmasq", f"--conf-file={launch.configuration}"))
    except OSError as error:
        os.write(sys.stderr.fileno(), f"dnsmasq cannot be started: {error}\n".encode())
    os._exit(126)
