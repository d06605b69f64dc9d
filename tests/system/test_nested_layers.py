"""Where engines inside a guest can keep their layers: overlays of the guest's own, and what lies below them."""

from pathlib import Path

import pytest

from insula.engine.spec import BindMount, OverlayRoot
from tests.guests import Guests, facts_of, spec

pytestmark = [pytest.mark.requires("userns", "busybox", "overlay.idmapped"), pytest.mark.machine("mounts")]

STACKED = (
    "mkdir -p {place}/lower {place}/upper {place}/work {place}/merged; echo image > {place}/lower/file",
    "options=lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr",
    "mount -t overlay -o $options overlay {place}/merged && cd {place}/merged && echo change >> file && rm file",
    "echo result=$?",
)
"""What the overlay drivers of docker and podman do in a user namespace."""


def test_a_clone_holds_no_overlay_of_the_guests_but_a_directory_of_the_hosts_does(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    for name in ("upper", "work", "containers"):
        (scratch / name).mkdir()
    clone = OverlayRoot(lower=(str(busybox_root),), upper=str(scratch / "upper"), work=str(scratch / "work"))
    shown = BindMount(source=str(scratch / "containers"), target="/var/lib/containers")
    script = "; ".join(STACKED)
    for place, works in (("/srv/layers", False), ("/var/lib/containers/layers", True)):
        said, _ = guests.output(spec(clone, script.format(place=place), mounts=(shown,)))
        assert (facts_of(said)["result"] == "0") is works, said
    assert (scratch / "containers/layers/lower/file").stat().st_uid == 0
