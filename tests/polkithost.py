"""A system bus of a test's own with the distribution's polkit behind it, and the rules that the test writes."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests import probes, sideload, waiting
from tests.testhost import TestHost

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
"""What dbus-daemon reads for a system bus on which everybody may do everything, at a socket."""
_ACTIONS = Path("/usr/share/polkit-1/actions")
_RULES = Path("/etc/polkit-1/rules.d")


class PolkitHost:
    """Runs in a test host. `variables` tells programs where the bus is; bus and polkit may be stopped and started."""

    def __init__(self, host: TestHost, directory: Path) -> None:
        directory.mkdir()
        directory.chmod(0o755)
        self._host = host
        self._directory = directory
        self.socket = directory / "bus"
        self.variables = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.socket}"}
        self.log = directory / "log"
        self._bus: subprocess.Popen[bytes] | None = None
        self._polkit: subprocess.Popen[bytes] | None = None
        self._rules = directory / "rules.d"
        self._rules.mkdir()
        self._rules.chmod(0o755)
        host.run("mount", "--bind", str(self._rules), str(_RULES))
        actions = directory / "actions"
        shutil.copytree(_ACTIONS, actions)
        for policy in (
            (sideload.found("libvirtd").parents[1] / "root").joinpath(*_ACTIONS.parts[1:]).glob("org.libvirt.*")
        ):
            shutil.copy(policy, actions)
        host.run("mount", "--bind", str(actions), str(_ACTIONS))

    def start(self) -> None:
        """Start both, and return once polkit has its name on the bus."""
        self.start_bus()
        self.start_polkit()

    def start_bus(self) -> None:
        configuration = self._directory / "bus.conf"
        configuration.write_text(BUS.format(socket=self.socket))
        command = ("dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile")
        with self.log.open("ab") as log:
            self._bus = self._host.start(*command, stdout=log, stderr=log)
        waiting.until(lambda: self._asks_bus("GetId"), "a bus that answers", 30)

    def start_polkit(self) -> None:
        with self.log.open("ab") as log:
            self._polkit = self._host.start(
                str(probes.POLKITD), "--no-debug", env={**os.environ, **self.variables}, stdout=log, stderr=log
            )
        has_owner = ("NameHasOwner", "string:org.freedesktop.PolicyKit1")
        waiting.until(lambda: "true" in self._asks_bus(*has_owner), "polkit on its bus", 30)

    def stop_polkit(self) -> None:
        """End polkit; the bus stays."""
        _end(self._polkit)
        self._polkit = None

    def stop_bus(self) -> None:
        """End the bus; polkit ends with it."""
        _end(self._bus)
        self._bus = None
        self.socket.unlink(missing_ok=True)
        self.stop_polkit()

    def halt_polkit(self) -> None:
        """Have polkit answer nothing, though it is there."""
        assert self._polkit is not None
        waiting.stop(self._polkit.pid)

    def resume_polkit(self) -> None:
        assert self._polkit is not None
        os.kill(self._polkit.pid, signal.SIGCONT)

    def rules(self, text: str) -> None:
        """Have polkit decide by these rules, in its own JavaScript, from now on."""
        running = self._polkit is not None
        self.stop_polkit()
        (self._rules / "10-test.rules").write_text(text)
        if running:
            self.start_polkit()

    def close(self) -> None:
        if self._polkit is not None:
            self.resume_polkit()
        self.stop_polkit()
        self.stop_bus()
        self._host.run("umount", str(_RULES), str(_ACTIONS))

    def _asks_bus(self, method: str, *arguments: str) -> str:
        asked = self._host.run(
            "dbus-send", f"--bus={self.variables['DBUS_SYSTEM_BUS_ADDRESS']}", "--print-reply",
            "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", f"org.freedesktop.DBus.{method}", *arguments,
            check=False,
        )  # fmt: skip
        return asked.stdout if asked.returncode == 0 else ""


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()
