"""dump: what the processes of a guest have in memory, as an archive of cores; the daemon writes it."""

import argparse
import os

from insula.cli.lookup import domain
from insula.sdk.blocking_domains import Host


def _arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--live", action="store_true", help="one process after another stands still, not all at once")
    how.add_argument("--crash", action="store_true", help="end the guest then, as if it had crashed")
    how.add_argument("--reset", action="store_true", help="kill the guest then, and start it again")
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("file", help="the archive, on the daemon's host; what is there is replaced once it is whole")
    parser.epilog = (
        "The archive is a tar of ELF cores, such as gdb reads, and a list of them, for root alone. It is a job, which "
        "`insula info` tells of; interrupted, this command ends, and the job goes on (`virsh domjobabort` ends it)."
    )


def _dump(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    found.dump(os.path.abspath(options.file), live=options.live, crash=options.crash, reset=options.reset)
    return 0


ARGUMENTS = {"dump": _arguments}
RUN = {"dump": _dump}
