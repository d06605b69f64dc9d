"""One container and one host, for tests of what plans are made of."""

from collections.abc import Iterable

from insula.engine.facts import Facts
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange
from insula.engine.steps.step import Step
from insula.kernel.cgroups import Hierarchies

FACTS = Facts(
    hierarchies=Hierarchies(v2="/sys/fs/cgroup"),
    kernel="6.12",
    pids_max=32768,
    chosen_pids=True,
    detached_layers=True,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
    filesystems=frozenset({"tmpfs", "mqueue"}),
)
IDS = IdMap(
    uids=(IdRange(inside=0, outside=300000, count=65536),), gids=(IdRange(inside=0, outside=400000, count=65536),)
)
SPEC = ContainerSpec(
    name="web", uuid="c7a5fdbd-cdaf-9455-926a-d65c16db1809", root=DirectoryRoot(path="/srv/web"), idmap=IDS
)
PRIVILEGED = ContainerSpec(name="web", uuid=SPEC.uuid, root=DirectoryRoot(path="/srv/web"), privileged=True)


def told(steps: Iterable[Step]) -> list[str]:
    """Return what steps say of themselves; each has a reason."""
    steps = list(steps)
    assert all(step.why for step in steps)
    return [str(step) for step in steps]
