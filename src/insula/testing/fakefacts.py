"""What a fake host offers: all that is looked at before a launch. No path of the real one's is named."""

from insula.engine.facts import Facts
from insula.kernel.cgroups import Hierarchies

FACTS = Facts(
    hierarchies=Hierarchies(v2="/nowhere", v2_controllers=("cpuset",)),
    kernel="6.1.0",
    pids_max=32768,
    chosen_pids=True,
    detached_layers=True,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
    filesystems=frozenset({"overlay"}),
)
