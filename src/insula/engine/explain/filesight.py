"""What a call was about, seen from outside: texts in the caller's memory, files in its tree, its own powers.

All of it is the guest's: texts may be anything, links may lead anywhere inside, and nothing that is found is opened but
as a mere path. Sources: proc_pid_status(5), proc_pid_fdinfo(5), proc_pid_limits(5).
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from insula.engine.explain.callsignatures import AT_FDCWD, signature_of, signed
from insula.engine.explain.refusedcall import PARENT_SHOWN, CallingProcess, SeenFile
from insula.kernel.beneath import CONTAINED, Resolve, open_beneath
from insula.kernel.mountinfo import Mount, mounts_in
from insula.kernel.privileges import names_in

_TEXT_MAX = 4096
_TOLD_MAX = 400
"""Characters of a text that are told: the guest chooses how long it is."""
_PAGE = 4096
_OWN = re.compile(r"^/proc/(self|thread-self)(?=/|$)")
_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}
_KINDS[stat.S_IFSOCK] = "s"
_NOT_FOLLOWED = frozenset({"lchown", "lchown32", "lsetxattr", "unlink", "rmdir", "unlinkat", "rename", "symlink"})
_MOUNTINFO_MAX = 4 << 20


def text_at(tid: int, address: int) -> str:
    """Return the text that stands at an address of a thread's memory, odd bytes as surrogates. Raises: OSError."""
    found = b""
    fd = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while b"\0" not in found and len(found) < _TEXT_MAX:
            wanted = min(_TEXT_MAX - len(found), _PAGE - (address + len(found)) % _PAGE)
            part = os.pread(fd, wanted, address + len(found))
            if not part:
                break
            found += part
    finally:
        os.close(fd)
    return os.fsdecode(found.split(b"\0", 1)[0])


class CallSight:
    """What one call's arguments stand for, once they were looked at. texts: by place; shown: as people write them, by
    place; files: in order."""

    def __init__(self, tid: int, name: str, arguments: tuple[int, ...]) -> None:
        self.texts: dict[int, str] = {}
        self.shown: dict[int, str] = {}
        self.files: list[SeenFile] = []
        self._tid = tid
        self._name = name
        self._arguments = arguments
        self._mounts: list[Mount] | None = None

    def look(self) -> None:
        """Look at them. Its files and its memory may be of a file system that the guest serves, and never answers."""
        name = self._name
        directory: int | None = None
        for place, word in enumerate(signature_of(name)):
            value = self._arguments[place]
            if word == "dir":
                directory = signed(value)
            elif word in ("path", "text"):
                with suppress(OSError, OverflowError):
                    self._read(place, word, value, directory, follow=name not in _NOT_FOLLOWED)
            elif word == "fd":
                with suppress(OSError):
                    self._take_descriptor(place, signed(value))

    def _read(self, place: int, word: str, address: int, directory: int | None, *, follow: bool) -> None:
        if not address:
            self.shown[place] = "NULL"
            return
        text = text_at(self._tid, address)
        self.texts[place] = text[:_TOLD_MAX]
        self.shown[place] = f'"{text[:_TOLD_MAX]}"'
        if word == "path" and text:
            self._take_path(place, text, directory, follow=follow)
        elif word == "path" and directory is not None and directory >= 0:
            self._take_descriptor(place, directory)

    def _take_path(self, place: int, text: str, directory: int | None, *, follow: bool) -> None:
        path = text
        if not text.startswith("/"):
            at = "cwd" if directory in (None, AT_FDCWD) else f"fd/{directory}"
            path = os.path.join(os.readlink(f"/proc/{self._tid}/{at}"), text)
        root = os.open(f"/proc/{self._tid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.files.append(self._found_below(place, root, _OWN.sub(f"/proc/{guest_pid(self._tid)}", path), follow))
        finally:
            os.close(root)

    def _found_below(self, place: int, root: int, path: str, follow: bool) -> SeenFile:
        flags = os.O_PATH | (0 if follow else os.O_NOFOLLOW)
        try:
            with _opened(root, path, flags) as fd:
                return self._seen(place, fd, path)
        except OSError:
            above = os.path.dirname(path.rstrip("/")) or "/"
            with _opened(root, above, os.O_PATH) as fd:
                seen = self._seen(place, fd, path)
            return _of_parent(seen)

    def _take_descriptor(self, place: int, number: int) -> None:
        link = f"/proc/{self._tid}/fd/{number}"
        path = os.readlink(link)
        self.shown[place] = f"{number}<{path}>"
        if path.startswith("/"):
            found = os.stat(link)
            self.files.append(self._described(place, path, found, _mount_id(f"/proc/{self._tid}/fdinfo/{number}")))

    def _seen(self, place: int, fd: int, path: str) -> SeenFile:
        return self._described(place, path, os.fstat(fd), _mount_id(f"/proc/self/fdinfo/{fd}"))

    def _described(self, place: int, path: str, found: os.stat_result, mount_id: int) -> SeenFile:
        mount = next((each for each in self._all_mounts() if each.id == mount_id), None)
        return SeenFile(
            argument=place,
            path=path[:_TOLD_MAX],
            kind=_KINDS.get(stat.S_IFMT(found.st_mode), "-"),
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            major=os.major(found.st_rdev),
            minor=os.minor(found.st_rdev),
            mounted="" if mount is None else mount.kind,
            point="" if mount is None else mount.point[:_TOLD_MAX],
            root="" if mount is None else mount.root[:_TOLD_MAX],
            options="" if mount is None else mount.options[:_TOLD_MAX],
            super_options="" if mount is None else mount.super_options[:_TOLD_MAX],
        )

    def _all_mounts(self) -> list[Mount]:
        if self._mounts is None:
            with open(f"/proc/{self._tid}/mountinfo", "rb") as file:
                text = file.read(_MOUNTINFO_MAX).decode(errors="surrogateescape")
            self._mounts = list(mounts_in(text.rpartition("\n")[0]))
        return self._mounts


def _of_parent(seen: SeenFile) -> SeenFile:
    return SeenFile(
        argument=seen.argument,
        path=seen.path,
        kind=PARENT_SHOWN,
        mode=seen.mode,
        uid=seen.uid,
        gid=seen.gid,
        mounted=seen.mounted,
        point=seen.point,
        root=seen.root,
        options=seen.options,
        super_options=seen.super_options,
    )


@contextmanager
def _opened(root: int, path: str, flags: int) -> Iterator[int]:
    resolve: Resolve = CONTAINED
    fd = open_beneath(root, path, flags, resolve=resolve)
    try:
        yield fd
    finally:
        os.close(fd)


def _mount_id(fdinfo: str) -> int:
    with open(fdinfo) as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    return -1


def calling_process(tid: int, init: int) -> CallingProcess:
    """Return who a stopped thread is. init: the guest's first process. Raises: OSError if it is gone."""
    status = _status(tid)
    ids = {kind: int(status[kind].split()[1]) for kind in ("Uid", "Gid")}
    return CallingProcess(
        pid=guest_pid(tid),
        program=status["Name"],
        uid=ids["Uid"],
        gid=ids["Gid"],
        effective=names_in(int(status["CapEff"], 16)),
        bounding=names_in(int(status["CapBnd"], 16)),
        nested=_namespace(tid) != _namespace(init),
        filters=int(status["Seccomp_filters"]) if "Seccomp_filters" in status else None,
        label=_label(tid),
        limits=tuple(_limits(tid)),
        descriptors=len(os.listdir(f"/proc/{tid}/fd")),
    )


def guest_pid(tid: int) -> int:
    """Return what the innermost PID namespace of a thread calls its process. Raises: OSError."""
    return int(_status(tid)["NStgid"].split()[-1])


def _status(tid: int) -> Mapping[str, str]:
    with open(f"/proc/{tid}/status", errors="replace") as file:
        pairs = (line.rstrip("\n").partition(":") for line in file)
        return {name: value.strip() for name, _, value in pairs}


def _namespace(tid: int) -> str:
    return os.readlink(f"/proc/{tid}/ns/user")


def _label(tid: int) -> str:
    with suppress(OSError), open(f"/proc/{tid}/attr/current", "rb") as file:
        return file.read(_PAGE).rstrip(b"\0\n").decode(errors="replace")
    return ""


_LIMIT_NAMES = {
    "Max cpu time": "CPU",
    "Max file size": "FSIZE",
    "Max data size": "DATA",
    "Max stack size": "STACK",
    "Max core file size": "CORE",
    "Max resident set": "RSS",
    "Max processes": "NPROC",
    "Max open files": "NOFILE",
    "Max locked memory": "MEMLOCK",
    "Max address space": "AS",
    "Max pending signals": "SIGPENDING",
    "Max msgqueue size": "MSGQUEUE",
    "Max nice priority": "NICE",
    "Max realtime priority": "RTPRIO",
    "Max realtime timeout": "RTTIME",
}
_NAME_WIDTH = 26


def _limits(tid: int) -> Iterator[tuple[str, int | None, int | None]]:
    with open(f"/proc/{tid}/limits") as file:
        for line in file:
            name = _LIMIT_NAMES.get(line[:_NAME_WIDTH].strip())
            if name is not None:
                soft, hard = line[_NAME_WIDTH:].split()[:2]
                yield name, _bound(soft), _bound(hard)


def _bound(text: str) -> int | None:
    return None if text == "unlimited" else int(text)
