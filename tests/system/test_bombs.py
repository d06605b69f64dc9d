"""A guest takes all that it can get of one kind: it ends in a refusal inside, and nothing is left on the host.

What a quiet guest beside it notices is measured by `benchmarks/neighbours.py`, as it is a matter of time.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.spec import Access, BindMount, ImageMount
from tests import bombs
from tests.waiting import patience

pytestmark = [
    pytest.mark.requires("userns", "busybox", "overlay.idmapped", "compiler", "loop"),
    pytest.mark.timeout(600),
]

IDLE = ("/bin/sleep", "1000")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guests(
    request: pytest.FixtureRequest, busybox_root: Path, engine: Engine, scratch: Path
) -> Iterator[tuple[Container, Container]]:
    """One with limits, the program, and a small disk of its own; and its neighbour."""
    image = scratch / "disk"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "256", str(image), "8M"], check=True)
    shown = BindMount(source=str(bombs.program()), target=bombs.PLACE, access=Access.READ_ONLY)
    (busybox_root / "disk").mkdir()
    with (
        Container(
            busybox_root,
            name="bomber",
            init=IDLE,
            ephemeral=True,
            engine=engine,
            privileged=request.param,
            memory=48 << 20,
            pids=100,
            mounts=[shown, ImageMount(source=str(image), target="/disk")],
        ) as bomber,
        Container(busybox_root, name="quiet", init=IDLE, ephemeral=True, engine=engine, memory=64 << 20) as quiet,
    ):
        yield bomber, quiet


def exploded(bomber: Container, kind: str) -> tuple[int, str]:
    """Return how many it took, and what ended that."""
    said = bomber.run([bombs.PLACE, kind], text=True, timeout=patience(120)).stdout.split()
    assert said[0] == kind
    return int(said[1]), said[2]


@pytest.mark.parametrize("kind", bombs.ENDS)
def test_it_ends_in_a_refusal_inside_and_the_neighbour_has_all_of_its_own(
    guests: tuple[Container, Container], kind: str
) -> None:
    bomber, quiet = guests
    count, end = exploded(bomber, kind)
    assert end in bombs.ENDS[kind]
    assert (count == 0) == (end in bombs.NOTHING)
    assert bomber.run(["/bin/true"]).returncode == 0
    assert quiet.run(["/bin/sh", "-c", "echo lives; mktemp -d; sleep 0"], text=True).stdout.startswith("lives")


@pytest.mark.parametrize("kind", bombs.FLOODS)
def test_what_is_flooded_goes_on_working_for_the_neighbour(guests: tuple[Container, Container], kind: str) -> None:
    bomber, quiet = guests
    with bomber.popen([bombs.PLACE, kind]) as process:
        for _ in range(20):
            assert quiet.run(["/bin/echo", "lives"], text=True, timeout=patience(60)).stdout == "lives\n"
        process.wait(patience(240))
    assert bomber.run(["/bin/true"]).returncode == 0
