"""What a guest is told of names: its nameservers, where it searches, and hosts of its definition.

Nothing that the image owns is written. A file in memory is shown at the image's own, or systemd-resolved is told in its
own way. Sources: resolv.conf(5), hosts(5), resolved.conf(5).
"""

from insula.engine.fragments.guestmounts import root_is_read_only
from insula.engine.fragments.speccheck import own_network
from insula.engine.program.late import Late
from insula.engine.spec import ContainerSpec, InitKind
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import MakeFile
from insula.engine.steps.guest.shownfiles import ShowFile

_DROP_IN = "run/systemd/resolved.conf.d/00-insula.conf"
_SERVERS = "the nameservers asked for"


def names_told(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that tell a guest what names mean."""
    return [*_resolver(spec), *_hosts(spec)]


def shown_at(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the absolute paths of what `names_told` shows, so that nothing is mounted over them."""
    return tuple(f"/{step.path}" for step in names_told(spec) if isinstance(step, ShowFile))


def _resolver(spec: ContainerSpec) -> list[GuestStep]:
    files = spec.name_files
    asked = bool(spec.nameservers or spec.search_domains)
    if asked and files.resolved and own_network(spec) and spec.init_kind is InitKind.SYSTEMD:
        lines = ["[Resolve]"]
        lines += [f"DNS={' '.join(spec.nameservers)}"] if spec.nameservers else []
        lines += [f"Domains={' '.join(spec.search_domains)}"] if spec.search_domains else []
        return [MakeFile(why=_SERVERS, path=_DROP_IN, content=Late("\n".join((*lines, ""))))]
    if asked:
        text = f"search {' '.join(spec.search_domains)}\n" if spec.search_domains else ""
        text += "".join(f"nameserver {each}\n" for each in spec.nameservers)
        return [ShowFile(why=_SERVERS, path=files.resolver, content=Late(text))]
    if spec.resolver is None or (root_is_read_only(spec) and not files.there):
        return []
    return [ShowFile(why="names are found where its network is", path=files.resolver, content=Late(spec.resolver))]


def _hosts(spec: ContainerSpec) -> list[GuestStep]:
    if not spec.hosts:
        return []
    own = spec.name_files.hosts
    text = own if not own or own.endswith("\n") else f"{own}\n"
    text += "".join(f"{address}\t{' '.join(names)}\n" for address, names in spec.hosts)
    return [ShowFile(why="the hosts asked for, behind the image's own", path="etc/hosts", content=Late(text))]
