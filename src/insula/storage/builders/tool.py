"""Running somebody else's program for a build: watched, bounded to the build, and explained when it fails."""

import asyncio
import contextlib
import os
import resource
import shutil
from collections import deque
from collections.abc import Callable, Sequence

from insula.errors import OperationFailedError
from insula.kernel.process import with_descriptors
from insula.storage.builders.imagebuilder import Workplace

_TAIL = 12
"""How many of the last lines an error shows."""
_LINE = 1 << 16
_SOFT_DESCRIPTORS = 1024
"""The soft limit that programs are used to: the kernel's own (INR_OPEN_CUR in its fs.h)."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_ENCLOSURE = (
    # The program and all it starts live in a PID namespace that dies with us, and mount in a mount namespace that dies
    # with them: not even SIGKILL at the worst moment leaves a process or a mount behind.
    *("setpriv", "--pdeathsig=KILL", "--"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"),
)


def _usual_descriptors() -> tuple[str, ...]:
    """The daemon's own soft limit is its hard one, for which programs are not made that look at every number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return with_descriptors(min(_SOFT_DESCRIPTORS, hard))


async def run_tool(
    argv: Sequence[str], workplace: Workplace, *, package: str, watch: Callable[[str], None], stdin: bytes = b""
) -> None:
    """Run a program to its end; watch gets each line it writes.

    package: what to install when it is missing.
    Raises: OperationFailedError with the last lines it wrote. When cancelled, the program is dead before this returns.
    """
    if shutil.which(argv[0], path=_PATH) is None:
        raise OperationFailedError(f"{argv[0]} is not installed; install the package {package}")
    process = await asyncio.create_subprocess_exec(
        *_usual_descriptors(),
        *_ENCLOSURE,
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(workplace.lock,),
        cwd="/",
        env=_environment(),
        limit=_LINE,
    )
    tail: deque[str] = deque(maxlen=_TAIL)
    try:
        await asyncio.gather(_feed(process, stdin), _read(process, tail, watch))
        status = await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Its namespace goes with it; the end of output tells that nobody in there is left to write.
        await _read(process, tail, lambda _line: None)
        await process.wait()
        raise
    if status:
        raise OperationFailedError(explained(argv[0], status, list(tail)))


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _read(process: asyncio.subprocess.Process, tail: deque[str], watch: Callable[[str], None]) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # a line beyond the limit: what came of it is dropped
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        if text:
            tail.append(text)
            watch(text)


def explained(program: str, status: int, tail: Sequence[str]) -> str:
    """Return the error text for a program that ended with a status, from its last lines."""
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    hint = "; the disk is full" if any("No space left on device" in line for line in tail) else ""
    wrote = "".join(f"\n  {line}" for line in tail) if tail else " and wrote nothing"
    return f"{program} {how}{hint}{':' if tail else ''}{wrote}"


def _environment() -> dict[str, str]:
    kept = {name: value for name in _KEPT_VARIABLES if (value := os.environ.get(name))}
    return {"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", **kept}
