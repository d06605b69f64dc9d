"""Ansible's way into Insula's domains: `insula exec`, so no ssh, no network and no Python of ours inside.

Source: Ansible's documents "Developing plugins", "Connection plugins".
"""
# ruff: noqa: INP001

import subprocess
from typing import Any, BinaryIO

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

DOCUMENTATION = """
name: insula
short_description: run tasks in Insula's domains
description:
  - Commands, and files both ways, go through C(insula exec) on the machine that Ansible runs on.
  - The domain must run. It needs no ssh server and no network.
author: The Insula authors
options:
  remote_addr:
    description: The domain's name, id or UUID.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_insula_host
  remote_user:
    description: Who runs the tasks inside, a name or number as the guest has it. Root if not given.
    ini:
      - section: defaults
        key: remote_user
    env:
      - name: ANSIBLE_REMOTE_USER
    vars:
      - name: ansible_user
      - name: ansible_insula_user
    cli:
      - name: user
    keyword:
      - name: remote_user
  executable:
    description: The shell inside that commands are given to.
    default: /bin/sh
    ini:
      - section: defaults
        key: executable
    env:
      - name: ANSIBLE_EXECUTABLE
    vars:
      - name: ansible_executable
  insula_executable:
    description: Insula's command here.
    default: insula
    env:
      - name: INSULA_EXECUTABLE
    vars:
      - name: ansible_insula_executable
  insula_prefix:
    description: The installation to use, as C(insula --prefix) takes it.
    env:
      - name: INSULA_PREFIX
    vars:
      - name: ansible_insula_prefix
"""

INSULA_FAILED = 125
"""What `insula exec` ends with if it could not do its part; a command's own status may be that too."""

display = Display()


class Connection(ConnectionBase):  # type: ignore[misc]  # Ansible has no types
    """One domain, as one user. There is nothing to keep open: each command is one `insula exec`."""

    transport = "insula"
    has_pipelining = True
    has_tty = False

    def _connect(self) -> "Connection":
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Return the exit status, output and errors of a shell command inside. Raises: AnsibleConnectionFailure."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        display.vvv(f"EXEC {cmd}", host=self._domain())
        shell = (self.get_option("executable") or "/bin/sh", "-c", cmd)
        result = self._run(shell, stdin=in_data or b"")
        return result.returncode, result.stdout, result.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of ours into the domain. Raises: AnsibleFileNotFound, AnsibleError."""
        super().put_file(in_path, out_path)
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._domain())
        try:
            source = open(in_path, "rb")  # noqa: SIM115 - a missing file is told as Ansible wants it
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"file {in_path} does not exist") from error
        with source:
            self._must(("/bin/sh", "-c", 'exec cat > "$0"', out_path), f"put {in_path} to {out_path}", source=source)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the domain to ours. Raises: AnsibleError."""
        super().fetch_file(in_path, out_path)
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._domain())
        with open(out_path, "wb") as target:
            self._must(("/bin/sh", "-c", 'exec cat < "$0"', in_path), f"fetch {in_path}", target=target)

    def close(self) -> None:
        self._connected = False

    def _must(
        self, command: tuple[str, ...], what: str, *, source: BinaryIO | None = None, target: BinaryIO | None = None
    ) -> None:
        result = self._run(command, source=source, target=target)
        if result.returncode:
            raise AnsibleError(f"cannot {what} in {self._domain()}: {result.stderr.decode(errors='replace').strip()}")

    def _run(
        self,
        command: tuple[str, ...],
        *,
        stdin: bytes | None = None,
        source: BinaryIO | None = None,
        target: BinaryIO | None = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        words = [*self._insula(), *command]
        given: dict[str, Any] = {"stdin": source} if source is not None else {"input": stdin or b""}
        try:
            result = subprocess.run(
                words, stdout=target or subprocess.PIPE, stderr=subprocess.PIPE, check=False, **given
            )
        except OSError as error:
            raise AnsibleConnectionFailure(f"'{words[0]}' cannot be run: {error.strerror}") from error
        if result.returncode == INSULA_FAILED and result.stderr.startswith(b"insula: "):
            raise AnsibleConnectionFailure(result.stderr.decode(errors="replace").strip())
        return result

    def _insula(self) -> list[str]:
        prefix, user = self.get_option("insula_prefix"), self.get_option("remote_user")
        options = ["--prefix", prefix] if prefix else []
        who = ["--user", user] if user else []
        return [self.get_option("insula_executable"), *options, "exec", "--no-tty", *who, "--", self._domain(), "--"]

    def _domain(self) -> str:
        return str(self.get_option("remote_addr"))
