"""A desktop in namespaces of its own: an X server without a screen, a window manager, buses, a root file system.

The root is a stock Debian from the tests' cache. What programs write is kept in memory, and is gone with the desktop.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from jeepney import DBusAddress

from tests.desktop.accessibility import Bus, Widget
from tests.testhost import TestHost
from tests.waiting import patience, until

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DISPLAY": ":9",
    "XDG_RUNTIME_DIR": "/run/user/0",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/0/bus",
    "GDK_BACKEND": "x11",
    "GSETTINGS_BACKEND": "memory",  # no dconf, whose service would have to be started
    "LIBGL_ALWAYS_SOFTWARE": "1",
}

_SESSION = """
set -e
mount -t tmpfs -o size=1g,mode=755 desktop /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay desktop -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
shift
cd /mnt/root
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
for bind; do
  mkdir -p "./${bind#*=}"
  mount --bind "${bind%%=*}" "./${bind#*=}"
done
mkdir -p run/user/0
chmod 700 run/user/0
exec chroot . /bin/sh -c '
Xvfb :9 -screen 0 1280x960x24 -nolisten tcp -noreset &
dbus-daemon --session --address=$DBUS_SESSION_BUS_ADDRESS --fork
while ! xdotool getdisplaygeometry; do sleep 0.1; done
openbox &
while sleep 3600; do :; done
'
"""
"""Arguments: the root, then SOURCE=TARGET of each directory of the host that the desktop sees."""


class Desktop:
    """A running desktop. It begins without a window; `close` ends all that runs on it."""

    def __init__(self, *, host: TestHost, root: Path, shared: Sequence[tuple[Path, str]], log: Path) -> None:
        """shared: directories of the host's, and where the desktop has them."""
        binds = [f"{source}={target}" for source, target in shared]
        with log.open("ab") as output:
            self._session = host.start(
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--",
                "/bin/sh", "-c", _SESSION, "session", str(root), *binds,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_ENVIRONMENT,
            )  # fmt: skip
        self._log = log
        self._running: list[subprocess.Popen[bytes]] = []
        try:
            until(self._is_up, "the desktop's window manager", 60)
            self._bus = self._accessibility_bus()
        except BaseException:
            self._end()
            raise

    def _is_up(self) -> bool:
        status = self._session.poll()
        assert status is None, f"the desktop ended with {status}:\n{self._log.read_text()[-4000:]}"
        return bool(self._first()) and self.run("xdotool", "search", "--class", ".", check=False).returncode == 0

    def _first(self) -> str:
        """The process with number 1 in the desktop, by its number here; empty until there is one."""
        number = self._session.pid
        return Path(f"/proc/{number}/task/{number}/children").read_text().strip()

    def _accessibility_bus(self) -> Bus:
        session = Bus(self.path("/run/user/0/bus"))
        try:
            asked = DBusAddress("/org/a11y/bus", bus_name="org.a11y.Bus", interface="org.a11y.Bus")
            address: str = session.call(asked, "GetAddress")[0]
        finally:
            session.close()
        return Bus(self.path(address.removeprefix("unix:path=").split(",")[0]))

    def path(self, path: str) -> Path:
        """Return where a file of the desktop's is found from outside."""
        return Path(f"/proc/{self._first()}/root{path}")

    def command(self, *argv: str) -> Sequence[str]:
        """Return the command that runs argv on the desktop."""
        spaces = ("--mount", "--pid", "--net", "--uts", "--root", "--wd")
        return ("nsenter", "--target", self._first(), *spaces, "--", *argv)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run argv on the desktop and return its result as text."""
        result = subprocess.run(
            self.command(*argv), capture_output=True, text=True, check=False, env=_ENVIRONMENT, timeout=patience(60)
        )
        assert not check or not result.returncode, f"{' '.join(argv)}: {result.stdout}{result.stderr}"
        return result

    def start(self, *argv: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program on the desktop; what it says goes to log."""
        with log.open("ab") as output:
            started = subprocess.Popen(
                self.command(*argv),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**_ENVIRONMENT, **environment},
            )  # fmt: skip
        self._running.append(started)
        return started

    @property
    def all(self) -> Widget:
        """Everything that is shown."""
        return self._bus.desktop

    def click(self, widget: Widget, *, button: int = 1, times: int = 1) -> None:
        """Point at the middle of a widget and press a mouse button."""
        x, y = widget.middle
        self.run("xdotool", "mousemove", str(x), str(y), "click", "--repeat", str(times), "--delay", "60", str(button))

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.run("xdotool", "type", "--delay", "25", text)

    def key(self, *keys: str) -> None:
        """Press keys, by their names of X: `Return`, `ctrl+a`."""
        self.run("xdotool", "key", "--delay", "25", *keys)

    def picture(self, file: Path) -> None:
        """Write what a screen would show to a PNG file."""
        self.run("scrot", "--overwrite", "/tmp/picture.png")
        shutil.copy(self.path("/tmp/picture.png"), file)

    def close(self) -> None:
        self._bus.close()
        self._end()

    def _end(self) -> None:
        self._session.kill()
        self._session.wait()
        for program in self._running:
            program.wait(timeout=patience(15))
