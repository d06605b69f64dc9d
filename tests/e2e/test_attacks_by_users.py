"""An ordinary user of the host, with a guest's help or without, tries to use what lies on the host for its guests.

docs/reference/attacks.md names each by its number.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, image_of, insula
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

NOBODY = 65534
REACHING = """
import os, sys
for place in sys.argv[1:]:
    for directory, names, files in os.walk(place):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            told = os.lstat(path)
            if told.st_mode & 0o6000 and os.access(path, os.X_OK):
                print("executes", path)
            for kind, word in ((os.R_OK, "reads"), (os.W_OK, "writes")):
                if not os.path.islink(path) and os.path.isfile(path) and os.access(path, kind):
                    print(word, path)
"""


def reached(*places: Path | str) -> list[str]:
    """Return what a user of the host without rights reaches below places."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", REACHING, *map(str, places)],
        user=NOBODY, group=NOBODY, extra_groups=(), cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_no_user_of_the_host_reaches_a_guests_files_or_runs_its_setuid_programs(
    insulad: Insulad, busybox_root: Path
) -> None:
    (busybox_root / "bin/rooted").write_bytes(b"#!/bin/sh\n")
    (busybox_root / "bin/rooted").chmod(0o4755)
    image_of(insulad, busybox_root)
    insula(insulad, "create", "web", "-i", "small", "--start")
    insula(insulad, "exec", "web", "--", "sh", "-c", "cp /bin/busybox /suid; chmod 4755 /suid; echo token > /token")
    number = domain_id(insulad, "web")
    layout = insulad.layout
    assert list(layout.clones.glob("*/*/suid")) and list(layout.images.glob("*/rootfs/bin/rooted"))
    (insulad.prefix / "open").mkdir(mode=0o755)
    (insulad.prefix / "open/file").write_text("everybody's")
    assert reached(insulad.prefix / "open") == [f"reads {insulad.prefix}/open/file"]
    assert reached(layout.clones, layout.images, layout.logs, layout.run, f"/proc/{number}/root") == []
    insula(insulad, "rm", "--force", "web")
