"""Transactions of the kernel's packet filter, by nft(8) and its JSON.

Why the program and not its library: what libnftables does wrong, it does in a process of its own; 4 ms is what that
costs, and no guest of a plain bridge ever pays it. A transaction happens whole or not at all, in one instant: packets
see the rules before it or those behind it.
"""

import json
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Sequence
from typing import Any

from insula.errors import OperationFailedError, OperationTimeoutError, OperationUnsupportedError
from insula.network.firewall.nftwords import Command, Table

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 30.0
"""Seconds a transaction may take: with thousands of rules it is a tenth of one."""

_REMEMBERED = 256
"""Processes whose notices may still be on their way."""


class Nft:
    """The program. processes: the numbers of its latest runs."""

    def __init__(self) -> None:
        self.processes: deque[int] = deque(maxlen=_REMEMBERED)

    def perform(self, commands: Sequence[Command], subject: str) -> None:
        """Have all of these commands, or none. subject: whose they are, for the error's text.

        Raises: OperationFailedError naming the rule that the kernel refuses; OperationTimeoutError;
        OperationUnsupportedError if there is no nft.
        """
        status, _, error = self._run(["-j", "-f", "-"], _document(commands))
        if status:
            raise OperationFailedError(f"{subject}: {self._refused(commands)}{_reason(error)}")

    def listed(self, *what: str) -> list[dict[str, Any]]:
        """Return what `nft -j list …` tells, one object each; nothing if there is no such thing."""
        status, output, error = self._run(["-j", "list", *what], "")
        if status:
            if "No such file or directory" in error:
                return []
            raise OperationFailedError(f"cannot list the packet filter's {' '.join(what)}: {_reason(error)}")
        return [each for each in json.loads(output)["nftables"] if "metainfo" not in each] if output.strip() else []

    def listed_table(self, table: Table) -> list[dict[str, Any]]:
        return self.listed("table", table.family.value, table.name)

    def _refused(self, commands: Sequence[Command]) -> str:
        """Return the words for the first command that cannot be had behind those before it, "" if there is none now.

        nft has no place to tell for what came as JSON; so it is asked to check ever fewer commands.
        """
        least, most = 1, len(commands)
        while least < most:
            middle = (least + most) // 2
            status, _, _ = self._run(["-c", "-j", "-f", "-"], _document(commands[:middle]))
            least, most = (least, middle) if status else (middle + 1, most)
        status, _, _ = self._run(["-c", "-j", "-f", "-"], _document(commands[:least]))
        return f"{_words(commands[least - 1])}: " if status else ""

    def _run(self, arguments: Sequence[str], text: str) -> tuple[int, str, str]:
        program = shutil.which("nft", path=_PATH)
        if program is None:
            raise OperationUnsupportedError("nft is not installed; install the package nftables")
        environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8"}
        try:
            # Text that is no UTF-8 does not occur: names were made by `chain_name`, interfaces' are JSON's to escape.
            process = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="surrogateescape",
                env=environment,
                cwd=os.sep,
            )
        except OSError as error:
            raise OperationFailedError(f"cannot start {program}: {error}") from error
        # Known before it can change anything: it reads to the end first.
        self.processes.append(process.pid)
        with process:
            try:
                output, errors = process.communicate(text, timeout=_PATIENCE)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.communicate()
                said = " ".join(arguments)
                raise OperationTimeoutError(f"nft has not ended for {_PATIENCE:g} s: {said}") from error
        return process.returncode, output, errors


def _document(commands: Sequence[Command]) -> str:
    return json.dumps({"nftables": list(commands)})


def _reason(error: str) -> str:
    """Return what nft wrote, in a line."""
    lines = [line.partition("Error: ")[2] or line for line in error.splitlines() if line.strip(" ^")]
    return lines[0].removeprefix("Could not process rule: ") if lines else "nft tells no reason"


def _words(command: Command) -> str:
    """Return what a command is about: `rule "between guests" of from/default`."""
    verb, said = next(iter(command.items()))
    noun, what = next(iter(said.items()))
    if noun == "rule":
        text = f'the rule "{what.get("comment", "")}" of {what["chain"]}'
    else:
        text = f"the {noun} {what['name']}"
    return text if verb == "add" else f"{verb} {text}"
