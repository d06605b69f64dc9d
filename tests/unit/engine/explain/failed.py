"""Failed calls and guests, as values, for tests of what is made of them."""

import errno
import os
from dataclasses import replace
from typing import Any

from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.refusedcall import CallingProcess, RefusedCall, SeenFile
from insula.engine.policy.capabilities import default_kept
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange
from insula.kernel.callfilter import AUDIT_NUMBERS
from insula.kernel.callnumbers import call_numbers

BASE = 200000
IDS = (IdRange(inside=0, outside=BASE, count=65536),)
UUID = "11111111-2222-3333-4444-555555555555"
MACHINE = os.uname().machine
EPERM, EACCES, EROFS, EINVAL, ENOSYS = errno.EPERM, errno.EACCES, errno.EROFS, errno.EINVAL, errno.ENOSYS


def guest(*, privileged: bool = False, readings: Any = None, **spec: Any) -> GuestConfinement:
    """A guest with the usual ids, or a privileged one. spec: further fields of it."""
    usual: dict[str, Any] = {
        "name": "web",
        "root": DirectoryRoot(path="/srv/web"),
        "uuid": UUID,
        "idmap": None if privileged else IdMap(uids=IDS, gids=IDS),
        "privileged": privileged,
    }
    made = ContainerSpec(**{**usual, **spec})
    found = GuestConfinement(spec=made, filesystems=frozenset({"proc", "tmpfs", "ext4"}))
    return found if readings is None else replace(found, readings=readings)


def caller(uid: int = 0, *, privileged: bool = False, **further: Any) -> CallingProcess:
    """A process of the guest's: its root with all that a guest keeps, or another user with nothing."""
    kept = default_kept(privileged=privileged)
    base = 0 if privileged else BASE
    usual: dict[str, Any] = {
        "pid": 7,
        "program": "prog",
        "uid": base + uid,
        "gid": base + uid,
        "effective": frozenset() if uid else kept,
        "bounding": kept,
        "filters": 1,
    }
    return CallingProcess(**{**usual, **further})


def failed(name: str, number: int, *arguments: int, by: CallingProcess | None = None, **further: Any) -> RefusedCall:
    """A call that failed with an errno."""
    return RefusedCall(
        name=name,
        architecture=AUDIT_NUMBERS[MACHINE],
        number=call_numbers()[name],
        arguments=(*arguments, *(0,) * (6 - len(arguments))),
        errno=number,
        shown=f"{name}()",
        caller=caller() if by is None else by,
        **further,
    )


def seen(path: str, kind: str = "-", **further: Any) -> SeenFile:
    """A file of the guest's root, in its root file system."""
    usual: dict[str, Any] = {"argument": 0, "uid": BASE, "gid": BASE, "mode": 0o644, "mounted": "ext4", "point": "/"}
    usual |= {"root": "/", "options": "rw,relatime", "super_options": "rw"}
    return SeenFile(path=path, kind=kind, **{**usual, **further})
