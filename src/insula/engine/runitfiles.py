"""The two files by which runit is told what a SIGCONT means, as its own `runit-init 0` and `runit-init 6` set them.

    stopit    executable by its owner: stop, at SIGCONT
    reboot    executable by its owner: start again then, else power off

They are the guest's: written by a process that has no more rights there than the guest's root, looked up from the
guest's root, never leaving it. Source: runit(8) and runit-init(8), upstream's and Debian's.
"""

import os
import stat

from insula.kernel.beneath import CONTAINED, open_beneath

_PLACES = (("run/runit.stopit", "run/runit.reboot"), ("etc/runit/stopit", "etc/runit/reboot"))
"""Debian's, and upstream's, which are links elsewhere in most distributions."""
_SET = 0o100
_UNSET = 0


def mark_stop(root: int, *, reboot: bool) -> bool:
    """Say in the files below root what runit is asked for; return whether there is a place for that.

    Whichever places there are get both, as nothing tells which of them this runit reads.
    """
    marked = [_mark(root, stopit, restart, reboot=reboot) for stopit, restart in _PLACES]
    return any(marked)


def _mark(root: int, stopit: str, restart: str, *, reboot: bool) -> bool:
    # What is meant comes first: runit may be woken by somebody else in between.
    told = _set_mode(root, restart, _SET if reboot else _UNSET, make=reboot)
    return (told or not reboot) and _set_mode(root, stopit, _SET, make=True)


def _set_mode(root: int, path: str, mode: int, *, make: bool) -> bool:
    """Set the mode of a regular file, made if it is missing and `make`; return whether that was done.

    By its place: its owner may not open a file of mode 0.
    """
    try:
        place = _place(root, path, make=make)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            return False
        os.chmod(f"/proc/self/fd/{place}", mode)
    except OSError:
        return False
    finally:
        os.close(place)
    return True


def _place(root: int, path: str, *, make: bool) -> int:
    try:
        return open_beneath(root, path, os.O_PATH, resolve=CONTAINED)
    except FileNotFoundError:
        if not make:
            raise
    return open_beneath(root, path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, resolve=CONTAINED)
