"""Parts of a whole run: lanes stand beside each other, parts of a lane follow each other; all is told in order."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

GRACE = 120.0
"""Seconds that a terminated part has for tidying up: its fixtures take guests, mounts and groups down."""
_PAUSE = 0.05
_REQUESTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A command in the checkout, which leaves its report in a directory made for it.

    command: `{directory}` in a word stands for that directory; words: which tests, the rest of the command;
    environment: beside ours, with the same words.
    """

    title: str
    command: Sequence[str]
    words: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


Lane = Sequence[Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a part ended. report: where it may have left one; seconds: by the wall clock."""

    part: Part
    status: int
    seconds: float
    report: Path


@dataclass(kw_only=True, slots=True)
class _Running:
    part: Part
    directory: Path
    process: subprocess.Popen[bytes]
    started: float

    @classmethod
    def begin(cls, part: Part, directory: Path, checkout: Path) -> "_Running":
        directory.mkdir()
        words = [*(word.replace("{directory}", str(directory)) for word in part.command), *part.words]
        environment = {name: value.replace("{directory}", str(directory)) for name, value in part.environment.items()}
        with (directory / "output").open("wb") as output:
            # A group of its own: Ctrl-C on the terminal comes to us alone, who end each part once. No session of its
            # own: whoever leads one is given the first terminal that a test opens, and dies when that is closed.
            # setpriv: a part ends, and so tidies up, even if we are killed.
            process = subprocess.Popen(
                ("setpriv", "--pdeathsig", "TERM", *words),
                cwd=checkout,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return cls(part=part, directory=directory, process=process, started=time.monotonic())

    def ended(self) -> Ended | None:
        status = self.process.poll()
        if status is None:
            return None
        return Ended(
            part=self.part,
            status=status,
            seconds=time.monotonic() - self.started,
            report=self.directory / "report.json",
        )


def run(lanes: Sequence[Lane], *, checkout: Path, directory: Path, output: BinaryIO) -> list[Ended]:
    """Run all parts and return how each ended, in the order of lanes; one that fails stops no other.

    What a part says is copied to output whole: lane by lane, that of the first part that has not ended as it comes.
    Raises: KeyboardInterrupt after all parts have been terminated and have ended.
    """
    runs = [_Run(lane, directory / str(number), checkout) for number, lane in enumerate(lanes)]
    told = _Told(lanes, output)
    try:
        while _advanced(runs):
            told.tell(runs)
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        _end([each.current for each in runs if each.current is not None])
        told.tell(runs)
        raise
    told.tell(runs)
    return [ended for each in runs for ended in each.ended]


def _advanced(runs: Sequence["_Run"]) -> int:
    """Advance all runs; return how many go on. A request to end waits for that: no part begins unnoted."""
    asked: list[int] = []
    before = {request: signal.signal(request, lambda number, _: asked.append(number)) for request in _REQUESTS}
    try:
        return sum(each.advance() for each in runs)
    finally:
        for request, handler in before.items():
            signal.signal(request, handler)
        for number in asked:
            os.kill(os.getpid(), number)


class _Run:
    """One lane on its way. places: the directory of each part that has begun; current: the part that runs."""

    def __init__(self, lane: Lane, directory: Path, checkout: Path) -> None:
        directory.mkdir()
        self._left = list(lane)
        self._directory = directory
        self._checkout = checkout
        self.current: _Running | None = None
        self.ended: list[Ended] = []
        self.places: list[Path] = []

    def advance(self) -> bool:
        """Take note of an end and begin what follows. Returns: whether a part runs."""
        if self.current is not None and (ended := self.current.ended()) is not None:
            self.ended.append(ended)
            self.current = None
        if self.current is None and self._left:
            self.places.append(self._directory / str(len(self.places)))
            self.current = _Running.begin(self._left.pop(0), self.places[-1], self._checkout)
        return self.current is not None


class _Told:
    """What has been copied of the parts' output: parts before `part` of `lane` whole, that one up to `offset`."""

    def __init__(self, lanes: Sequence[Lane], output: BinaryIO) -> None:
        self._order = [(lane, part) for lane, parts in enumerate(lanes) for part in range(len(parts))]
        self._titles = {(lane, part): each.title for lane, parts in enumerate(lanes) for part, each in enumerate(parts)}
        self._output = output
        self._source: BinaryIO | None = None

    def tell(self, runs: Sequence[_Run]) -> None:
        """Copy what has come; go on with the next part where one has ended."""
        while self._order:
            lane, part = self._order[0]
            over = part < len(runs[lane].ended)  # before the copy, which so is whole
            if part >= len(runs[lane].places):
                return
            if self._source is None:
                self._output.write(f"\n== {self._titles[lane, part]}\n".encode())
                self._source = (runs[lane].places[part] / "output").open("rb")
            for block in _blocks(self._source):
                self._output.write(block)
            self._output.flush()
            if not over:
                return
            self._source.close()
            self._source = None
            self._order.pop(0)


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(1 << 16):
        yield block


def _end(running: Sequence[_Running]) -> None:
    """Terminate every part once, let all tidy up, and kill what has not ended then."""
    for number in _REQUESTS:
        signal.signal(number, signal.SIG_IGN)  # whoever asks again waits like whoever asked first
    for each in running:
        with suppress(ProcessLookupError):
            each.process.terminate()
    deadline = time.monotonic() + GRACE
    for each in running:
        try:
            each.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{each.part.title}: killed, it did not end: {shlex.join(each.part.command)}", flush=True)
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()
