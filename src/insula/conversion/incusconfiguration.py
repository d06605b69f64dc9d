"""An Incus or LXD instance as a whole: what `incus config show --expanded` prints, and index.yaml of a backup."""

from collections.abc import Iterable, Mapping

from insula.conversion.domaindraft import NO_LIMIT, UNNAMED, DomainDraft
from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry, bounded
from insula.conversion.incusdevices import POOLS, incus_devices, take_incus_device
from insula.conversion.incuskeys import INCUS_KEYS
from insula.conversion.losses import Reason
from insula.conversion.yamltree import YamlNode, read_yaml, write_yaml
from insula.errors import InvalidArgumentError
from insula.model.domain import DomainDefinition

_PLACES = (("config", "instance"), ("config", "container"), ("instance",), ("container",))
"""Where an instance is in files of backups, of Incus and of LXD."""
_OWN = frozenset(
    {"config", "devices", "expanded_config", "expanded_devices", "profiles", "type", "snapshots", "backups"}
)
_TREE = Reason(f"its tree is in a storage pool, below {POOLS}", "import it: incus import, or move it there")
INCUS_REASONS: Mapping[str, Reason] = {
    "idmap": Reason("the server chooses ids for it"),
    "devices/filesystem/source/@dir": _TREE,
    "devices/interface": Reason("it has no such network, or no such part of one", "choose a bridge or a macvlan"),
    "devices/interface/guest": Reason("every card has a name inside"),
    "metadata/insula:domain/insula:privileged": Reason("security.privileged is written, and read as named"),
    "metadata/insula:domain/insula:hostname": Reason("the host name is the instance's name"),
    "cputune/shares": Reason("an allowance is a whole percentage, or a time"),
    "devices/hostdev": Reason("it gives no such device, or not this part of one"),
}
"""By the place in a domain's XML, beside what is true of most formats."""


def read_incus(document: ForeignDocument, draft: DomainDraft) -> None:
    """Take what a document says into draft. Raises: InvalidArgumentError with the line where it is no instance."""
    tree = read_yaml(document.text)
    instance = next((found for place in _PLACES if (found := tree.find(*place)) is not None and found.members()), tree)
    kind = instance.find("type") or tree.find("type")
    if kind is not None and kind.text == "virtual-machine":
        raise InvalidArgumentError(f"line {kind.line}: it is a virtual machine, which no container can be")
    config, devices = _merged(draft, tree, instance)
    for name in ("name", "description", "architecture"):
        node = instance.find(name) or (tree.find(name) if name == "name" else None)
        if node is not None:
            INCUS_KEYS.read(draft, ForeignEntry(key=name, value=node.text, line=node.line))
    entries = [ForeignEntry(key=f"config.{name}", value=node.text, line=node.line) for name, node in config.items()]
    entries += [
        ForeignEntry(key=name, value=node.text, line=node.line)
        for name, node in instance.members().items()
        if name not in _OWN and name not in ("name", "description", "architecture")
    ]
    _read_each(draft, bounded(entries))
    for name, node in devices.items():
        given = config.get(f"volatile.{name}.hwaddr")
        take_incus_device(draft, name, node, draft.name or UNNAMED, given.text if given is not None else None)
    if draft.memory is not None and draft.swap is None:
        draft.swap = NO_LIMIT


def _read_each(draft: DomainDraft, entries: Iterable[ForeignEntry]) -> None:
    """Read them; of those that one row names alike, the first is named."""
    named: set[str] = set()
    for entry in entries:
        row = INCUS_KEYS.find(entry.key)
        if row is not None and row.read is None and row.name.endswith("*"):
            if row.name in named:
                continue
            named.add(row.name)
            draft.lost(ForeignEntry(key=row.name, line=entry.line), row.why, row.advice)
        else:
            INCUS_KEYS.read(draft, entry)


def _merged(draft: DomainDraft, tree: YamlNode, instance: YamlNode) -> tuple[dict[str, YamlNode], dict[str, YamlNode]]:
    """Return settings and devices: the expanded ones, else those of the profiles at hand with its own above them."""
    expanded = instance.find("expanded_config"), instance.find("expanded_devices")
    if expanded[0] is not None and expanded[1] is not None:
        return dict(expanded[0].members()), dict(expanded[1].members())
    config: dict[str, YamlNode] = {}
    devices: dict[str, YamlNode] = {}
    known = tree.find("profiles") or tree.find("config", "profiles")
    at_hand = {each.members()["name"].text: each for each in known.items() if "name" in each.members()} if known else {}
    wanted = instance.find("profiles")
    for profile in wanted.items() if wanted is not None else ():
        found = at_hand.get(profile.text)
        if found is None:
            entry = ForeignEntry(key="profiles", value=profile.text, line=profile.line)
            draft.changed(
                entry, f"the profile '{profile.text[:60]}' is not in the document", "incus config show --expanded"
            )
            continue
        config |= (found.find("config") or YamlNode({}, 0)).members()
        devices |= (found.find("devices") or YamlNode({}, 0)).members()
    config |= (instance.find("config") or YamlNode({}, 0)).members()
    devices |= (instance.find("devices") or YamlNode({}, 0)).members()
    return config, devices


def write_incus(domain: DomainDefinition, findings: Iterable[ConversionFinding]) -> str:
    """Return a domain as an instance, what it could not say as comments before it."""
    tops: dict[str, object] = {}
    config: dict[str, str] = {}
    for key, value in INCUS_KEYS.written(domain):
        if key.startswith("config."):
            config[key.removeprefix("config.")] = value
        else:
            tops[key] = value
    tree = {**tops, "type": "container", "ephemeral": False, "profiles": [], "config": config}
    return write_yaml({**tree, "devices": dict(incus_devices(domain))}, map(str, findings))
