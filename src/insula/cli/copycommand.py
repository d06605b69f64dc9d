"""cp: files between the host and a guest that runs, through a tar of the guest's own, which has the guest's rights.

What a guest sends is read by `tarreader` and written by `extraction`; what it says in between goes to nobody's terminal
but as neutral text.
"""

import argparse
import os
import posixpath
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, NamedTuple, Self

from insula.cli.definition import kibibytes
from insula.cli.extraction import Extraction
from insula.cli.lookup import domain
from insula.cli.render import exit_words, show_progress
from insula.cli.tarreader import TarReader
from insula.errors import InvalidArgumentError, OperationFailedError, StepError
from insula.sdk import verbs
from insula.sdk.blocking_domains import Domain, Host
from insula.sdk.values import ExecRequest

_COMPLAINT_MAX = 4096
"""Bytes of what the guest's tar complains of that are kept: the last ones."""


class _End(NamedTuple):
    """One end of a copy. guest: the domain's name, None for the host's end."""

    guest: str | None
    path: str


def _cp_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="a path, or DOMAIN:PATH; directories with all they hold")
    parser.add_argument("target", help="the other of both; into it if it is a directory, else its new name")
    parser.add_argument(
        "--most", type=_bytes, metavar="SIZE", help="out of a guest, stop at so much, such as 10g (default: no limit)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing of what is left out")
    parser.epilog = (
        "The guest must run and have tar. Files get the owner that copies, in a guest its root, on the host no mode "
        "that its umask forbids; set-user-id bits, devices, pipes and sockets are not copied. Directories of the host "
        "that are there keep their modes. How much a guest sends is the guest's to say, up to the host's disk: --most "
        "bounds it. A path with a colon stands behind a slash: ./a:b."
    )


def _cp(options: argparse.Namespace, host: Host) -> int:
    if "-" in (options.source, options.target):
        raise InvalidArgumentError(
            "a file called - is ./- here; what is to come by a pipe comes by a command inside, such as "
            "insula exec DOMAIN -- tar -c -C / etc > etc.tar"
        )
    source, target = _end(options.source), _end(options.target)
    if (source.guest is None) == (target.guest is None):
        raise InvalidArgumentError("one end is a guest's, DOMAIN:PATH, and the other a path of the host")
    if source.guest is not None:
        left_out = _fetch(host, domain(host, source.guest), source.path, Path(target.path), options.most)
    else:
        assert target.guest is not None
        left_out = _bring(host, domain(host, target.guest), Path(source.path), target.path)
    if left_out and not options.quiet:
        show_progress(f"left out: {left_out} that are neither files nor directories nor links")
    return 0


def _end(text: str) -> _End:
    before, colon, after = text.partition(":")
    if not colon or "/" in before or not before:
        return _End(None, text)
    if not after.startswith("/"):
        raise InvalidArgumentError(f"'{text}' has a relative path: a guest's begins with /")
    return _End(before, posixpath.normpath(after) + ("/" if after.endswith("/") and after != "/" else ""))


# Out of a guest


def _fetch(host: Host, found: Domain, path: str, target: Path, most: int | None) -> int:
    """Copy from a guest; return how much was left out. most: bytes that are taken."""
    parent, base = posixpath.split(path.rstrip("/"))
    into = target if target.is_dir() else target.parent
    name = base if target.is_dir() else target.name
    try:
        directory = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgumentError(f"cannot copy into '{into}': {error.strerror}") from error
    extraction = Extraction(directory, base=base, name=name)
    argv = ("tar", "-c", "-f", "-", "-C", parent or "/", "--", base or ".")
    try:
        with GuestTar(host, found, argv, sends=True) as guest:
            extraction.extract(TarReader(_bounded(guest.stream.read, most)))
            guest.succeed()
    finally:
        os.close(directory)
    return extraction.left_out


def _bytes(text: str) -> int:
    try:
        return kibibytes(text) * 1024
    except InvalidArgumentError as error:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size; give a number with k, m, g or t, such as 10g"
        ) from error


def _bounded(read: Callable[[int], bytes], most: int | None) -> Callable[[int], bytes]:
    """Return what reads the same, and no more than so many bytes. Raises: OperationFailedError when there are more."""
    if most is None:
        return read
    left = most

    def read_some(size: int) -> bytes:
        nonlocal left
        data = read(size)
        left -= len(data)
        if left < 0:
            raise OperationFailedError(f"the guest sends more than --most, {most} bytes; what has come so far stays")
        return data

    return read_some


# Into a guest


def _bring(host: Host, found: Domain, source: Path, target: str) -> int:
    """Copy into a guest; return how much was left out."""
    try:
        os.stat(source)
    except OSError as error:
        raise InvalidArgumentError(f"cannot copy '{source}': {error.strerror}") from error
    into, name = posixpath.split(target)
    if not name or _is_directory(host, found, target):
        into, name = target, source.resolve().name
    with GuestTar(host, found, ("tar", "-x", "-f", "-", "-C", into or "/"), sends=False) as guest:
        with suppress(BrokenPipeError):  # it has ended, and says why
            left_out = _send(guest.stream, source, name)
        with suppress(BrokenPipeError):
            guest.stream.close()
        guest.succeed()
    return left_out


def _send(stream: IO[bytes], source: Path, name: str) -> int:
    """Write an archive of source, called name, with root as everything's owner; return how much was left out."""
    left_out = 0

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal left_out
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            left_out += 1
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode &= 0o777
        return member

    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        try:
            archive.add(source.resolve(), arcname=name, filter=plain)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise OperationFailedError(f"cannot read '{error.filename or source}': {error.strerror}") from error
    return left_out


def _is_directory(host: Host, found: Domain, path: str) -> bool:
    with GuestTar(host, found, ("test", "-d", path), sends=True) as guest:
        guest.stream.read()
        return guest.wait() == 0


class GuestTar:
    """A program of the guest's with one end of a pipe; the other is `stream`. sends: whether it writes what we read.

    What it complains of is read all the while, so that it never waits for us. With its block it is over.
    """

    def __init__(self, host: Host, found: Domain, argv: tuple[str, ...], *, sends: bool) -> None:
        self._client = host.client
        self._name = found.name
        self._program = argv[0]
        self._said = b""
        reader, writer = os.pipe()
        complaints, complaining = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        ours, theirs = (reader, writer) if sends else (writer, reader)
        standard = (null, theirs, complaining) if sends else (theirs, null, complaining)
        try:
            self._started = self._client.run(verbs.execute(found.ref, ExecRequest(argv=argv, cwd="/"), standard))
        except BaseException as error:
            os.close(ours)
            os.close(complaints)
            if isinstance(error, StepError):
                raise OperationFailedError(f"'{found.name}' has no {argv[0]}, which copying needs: {error}") from error
            raise
        finally:
            for each in (theirs, complaining, null):
                os.close(each)
        self.stream: IO[bytes] = open(ours, "rb" if sends else "wb")  # noqa: SIM115 - closed with the block
        self._listener = Thread(target=self._listen, args=(complaints,), name="complaints", daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self.stream.close()

    def wait(self) -> int:
        """Return its raw wait status, once it has ended."""
        return self._client.run(verbs.exec_status(self._started.handle))

    def succeed(self) -> None:
        """Return once it has ended well. Raises: OperationFailedError with what it complained of."""
        status = self.wait()
        if status == 0:
            return
        self._listener.join(1.0)  # what it left behind may hold the other end
        said = self._said.decode(errors="replace").strip().replace("\n", "; ")
        raise OperationFailedError(
            f"{self._program} inside '{self._name}' ended with {exit_words(status)}: {said or 'it says nothing'}"
        )

    def _listen(self, complaints: int) -> None:
        with open(complaints, "rb", buffering=0) as file:
            while piece := file.read(_COMPLAINT_MAX):
                self._said = (self._said + piece)[-_COMPLAINT_MAX:]  # replaced whole: who reads it may do so meanwhile


ARGUMENTS = {"cp": _cp_arguments}
RUN = {"cp": _cp}
