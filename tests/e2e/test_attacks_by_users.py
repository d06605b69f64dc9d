"""An ordinary user of the host, with a guest's help or without, tries to use what lies on the host for its guests.

docs/reference/attacks.md names each by its number.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, image_of, insula
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


def test_what_a_guest_writes_where_users_of_the_host_may_go_is_told_by_doctor(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    """There the kernel permits it: a program that the guest's root leaves setuid is just that on the host."""
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    insula(insulad, "exec", "web", "--", "sh", "-c", "cp /bin/busybox /suid; chmod 4755 /suid")
    assert f"executes {busybox_root}/suid" in reached(busybox_root)

    def exposed() -> tuple[str, str]:
        checks = json.loads(insula(insulad, "doctor", "--json", check=False).stdout)["checks"]
        (found,) = [each for each in checks if each["id"] == "domains.exposed"]
        return found["gravity"], found["found"]

    gravity, found = exposed()
    assert gravity == "note" and found.endswith("web")
    scratch.chmod(0o700)
    assert reached(busybox_root) == []
    assert exposed()[0] == "ok"
