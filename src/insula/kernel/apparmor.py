"""AppArmor, as far as whoever confines others needs it. Sources: lsm_list_modules(2), linux/lsm.h, apparmor(7).

A process takes a profile at its next exec by lsm_set_self_attr(2), since Linux 6.8. A write to
`/proc/self/attr/apparmor/exec` says the same, but names a file, which in a running guest may be any other.
"""

import ctypes
import struct
from pathlib import Path

from insula.kernel.syscall import syscall

AT_NEXT_EXEC = 101
"""LSM_ATTR_EXEC."""
_APPARMOR = 104
"""LSM_ID_APPARMOR."""
_CONTEXT = struct.Struct("=QQQQ")
"""struct lsm_ctx before its text: module, flags, size of all, size of the text."""
_MODULES_MAX = 64
_POLICY = Path("/sys/kernel/security/apparmor")


@syscall(461)
def _list_modules(ids: int, size: int, flags: int) -> int:
    raise NotImplementedError


def takes_profiles() -> bool:
    """Whether AppArmor is active, and a process can take a profile without naming a file."""
    ids = (ctypes.c_uint64 * _MODULES_MAX)()
    size = ctypes.c_uint32(ctypes.sizeof(ids))
    try:
        count = _list_modules(ctypes.addressof(ids), ctypes.addressof(size), 0)
    except OSError:
        return False
    return _APPARMOR in ids[:count]


def loaded_profiles(policy: Path = _POLICY) -> frozenset[str]:
    """Return the names of profiles that are loaded and enforced. Raises: OSError for whoever may not read them."""
    lines = (policy / "profiles").read_text().splitlines()
    return frozenset(name for name, mode in (line.rsplit(" ", 1) for line in lines) if mode == "(enforce)")


def profile_at_exec(profile: str) -> bytes:
    """Return the attribute by which a process says what its next program runs under."""
    text = f"exec {profile}".encode() + b"\0"
    return _CONTEXT.pack(_APPARMOR, 0, _CONTEXT.size + len(text), len(text)) + text
