"""The verbs of a `Container` for the files of a running guest.

Each acts with the rights of the guest's root and inside its limits, in a process that gives everything else up before
it opens anything (`engine.look.filelooks`): no link, device or mount of the guest's leads out, and none that does not
answer is waited for without end.
"""

import contextlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from insula.engine.containerlife import ContainerLife
from insula.engine.look.guestfile import GuestFile, Opening, open_guest_file
from insula.errors import InvalidArgumentError, OperationFailedError

_Path = str | os.PathLike[str]
TextMode = Literal["r", "rt", "w", "wt", "a", "at", "x", "xt"]
BytesMode = Literal["rb", "wb", "ab", "xb"]
_BUFFER = 1 << 18


class FileVerbs:
    """Files go in and come out; paths in the guest count from its `/`, and its links are followed as inside."""

    _life: ContainerLife

    @overload
    def open(
        self,
        path: _Path,
        mode: TextMode = "r",
        *,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
        user: str | None = None,
        group: str | None = None,
        timeout: float = 60.0,
    ) -> TextIO: ...
    @overload
    def open(
        self,
        path: _Path,
        mode: BytesMode,
        *,
        user: str | None = None,
        group: str | None = None,
        timeout: float = 60.0,
    ) -> BinaryIO: ...
    def open(
        self,
        path: _Path,
        mode: str = "r",
        *,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
        user: str | None = None,
        group: str | None = None,
        timeout: float = 60.0,
    ) -> IO[Any]:
        """Open a regular file of the guest's, as the built-in `open` does: r, w, a or x, with b for bytes.

        It is read or written from one end to the other: there is no seeking, and no r+. What was written is whole when
        `close` has returned. user, group: who is to own what is written; as it was without, root for a new file.
        timeout: seconds without any progress after which it is given up.

            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     with guest.open("/etc/motd", "w") as file:
            ...         _ = file.write("welcome\\n")
            ...     guest.run(["cat", "/etc/motd"]).stdout
            b'welcome\\n'

        Raises: OSError as `open` does; OperationTimeoutError; OperationInvalidError if it does not run, or is frozen.
        """
        how, binary = _understood(mode)
        if binary and (encoding != "utf-8" or errors is not None or newline is not None):
            raise InvalidArgumentError("bytes have no encoding, errors or newline")
        raw = self._opened(Opening(os.fspath(path), how, user=user, group=group, patience=timeout))
        buffered: BinaryIO = io.BufferedReader(raw, _BUFFER) if how == "r" else io.BufferedWriter(raw, _BUFFER)
        return buffered if binary else io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline=newline)

    def put(
        self,
        source: _Path,
        path: _Path,
        *,
        mode: int | None = None,
        user: str | None = None,
        group: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        """Copy a file of the host's into the guest, over what is there.

        mode: such as 0o600; by default that of source for a file that is new, less its setuid, setgid and sticky bits.
        user, group, timeout: as for `open`. If it fails on the way, what has come so far stays.

            >>> import tempfile
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     with tempfile.NamedTemporaryFile() as source:
            ...         guest.put(source.name, "/etc/key", user="nobody")
            ...     guest.run(["stat", "-c", "%U %a", "/etc/key"]).stdout
            b'nobody 600\\n'

        Raises: as `open`.
        """
        with open(source, "rb") as file:
            found = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(found):
                raise InvalidArgumentError(f"{os.fspath(source)!r} is no regular file")
            opening = Opening(
                os.fspath(path), "w", mode=mode, new_mode=found & 0o777, user=user, group=group, patience=timeout
            )
            with self._opened(opening) as target:
                shutil.copyfileobj(file, io.BufferedWriter(target, _BUFFER))

    def get(self, path: _Path, target: _Path, *, most: int | None = None, timeout: float = 60.0) -> None:
        """Copy a file of the guest's to the host: a new file with the name target, or in the directory target.

        What has that name is replaced at once when everything has come, and left as it was if not. It belongs to the
        caller, and keeps its mode but for setuid, setgid and sticky bits, and what the caller's umask forbids. most:
        bytes, beyond which it is refused: a guest can claim a file to be larger than any disk.

            >>> import os, tempfile
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     with tempfile.TemporaryDirectory() as here:
            ...         guest.get("/etc/passwd", here, most=1 << 20)
            ...         os.listdir(here)
            ['passwd']

        Raises: as `open`; OperationFailedError if it has more than `most` bytes.
        """
        name = os.fspath(path)
        goal = os.fspath(target)
        if os.path.isdir(goal):
            goal = os.path.join(goal, os.path.basename(name))
        with self._opened(Opening(name, "r", patience=timeout)) as source, _replacement(goal) as file:
            _copy(source, file, name, most)
            os.fchmod(file.fileno(), source.permissions & 0o777 & ~_umask())

    def _opened(self, opening: Opening) -> GuestFile:
        running, engine = self._life.alive(), self._life.engine()
        return open_guest_file(engine.looker, running, self._life.sight, opening)


def _understood(mode: str) -> tuple[str, bool]:
    """Return r, w, a or x, and whether it is about bytes."""
    kinds = [each for each in mode if each in "rwax"]
    if len(kinds) != 1 or set(mode) - set("rwaxbt") or {"b", "t"} <= set(mode) or len(set(mode)) != len(mode):
        raise InvalidArgumentError(f"'{mode}' is no way to open a guest's file: give r, w, a or x, and b for bytes")
    return kinds[0], "b" in mode


@contextlib.contextmanager
def _replacement(goal: str) -> Iterator[IO[bytes]]:
    """Give a new file that gets the name goal when the block ends well; nobody else can read it before."""
    new = f"{goal}.{secrets.token_hex(4)}"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb", buffering=0) as file:
            yield file
        os.replace(new, goal)
    except BaseException:
        os.unlink(new)
        raise


def _umask() -> int:
    """Ours. umask(2) would set it for a moment, for other threads too. Source: proc_pid_status(5), since Linux 4.7."""
    with open("/proc/thread-self/status", "rb") as status:
        return next(int(line.split()[1], 8) for line in status if line.startswith(b"Umask:"))


def _copy(source: GuestFile, target: IO[bytes], name: str, most: int | None) -> None:
    copied = 0
    while piece := source.read(_BUFFER):
        copied += len(piece)
        if most is not None and copied > most:
            raise OperationFailedError(f"'{name}' has more than {most} bytes")
        target.write(piece)
