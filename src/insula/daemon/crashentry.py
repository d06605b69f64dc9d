"""What the kernel starts for each process that crashes: insula-coredump, up to where its cost is the guest's.

An interpreter's imports are most of what a crash costs. So this imports nothing that is not needed to join the group of
the guest whose process it was; what follows (`crashdispatcher`) counts in that guest's limits.
"""

import sys

from insula.engine.dump.crashgroup import NoPlaceError, join_group
from insula.kernel.standardstreams import occupy_standard_streams


def main() -> int:
    """Take the core at standard input, as the kernel's arguments say. Returns an exit status: 0, or 1 if it is lost."""
    occupy_standard_streams()  # the kernel gives us the first alone
    words = sys.argv[1:]
    place = None
    try:
        if words and words[0].isdecimal():
            place = join_group(int(words[0]))
    except (NoPlaceError, OSError) as error:
        import syslog

        syslog.openlog("insula-coredump", syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_WARNING, f"process {words[0]}: its core is dropped: {error}")
        return 1
    from insula.daemon.crashdispatcher import take

    return take(words, place)


if __name__ == "__main__":
    sys.exit(main())
