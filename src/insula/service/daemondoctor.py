"""What a daemon tells of itself and its host to who asks what is wrong."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from insula.engine.facts import Facts
from insula.engine.hostcheck import Gravity, HostCheck, fine
from insula.engine.hostshortcomings import detected
from insula.engine.threads import in_own_thread
from insula.errors import ConfigurationError
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.livevalues import without_live
from insula.service.exposure import exposed, written_directories
from insula.service.leftovers import Leftovers
from insula.service.live import chosen_labels
from insula.service.managed import ManagedDomain

_NAMES_MAX = 10


def daemon_checks(
    domains: Iterable[ManagedDomain],
    *,
    older_keepers: Iterable[int],
    leftovers: Iterable[str],
    differing: Iterable[str],
    exposed: Iterable[str] = (),
) -> Iterator[HostCheck]:
    """Yield what there is to say of a daemon's guests.

    older_keepers: versions of the keepers of earlier daemons that hold guests yet; leftovers: names of domains of which
    something could not be taken away so far; differing: of those that run by another definition than they have;
    exposed: of those whose guests write where users of the host may go.
    """
    domains, versions = list(domains), sorted(older_keepers)
    if versions:
        yield HostCheck(
            id="daemon.keepers",
            gravity=Gravity.NOTE,
            found=f"guests are held by keepers of earlier versions ({', '.join(map(str, versions))})",
            costs="these guests go without what is new in the keeper",
            remedy="start them anew when it suits: a keeper that holds none ends by itself",
        )
    else:
        yield fine("daemon.keepers", "every guest is held by a keeper of this version")
    left = sorted(leftovers)
    if left:
        yield HostCheck(
            id="daemon.leftovers",
            gravity=Gravity.WARNING,
            found=f"something of earlier runs could not be taken away yet: {_named(left)}",
            costs="these domains may not start",
            remedy="it is tried again until it goes; the log of insulad tells what holds it",
        )
    else:
        yield fine("daemon.leftovers", "nothing is left of runs that are over")
    changed = sorted(differing)
    if changed:
        yield HostCheck(
            id="domains.changed",
            gravity=Gravity.NOTE,
            found=f"the definition says something else than what runs: {_named(changed)}",
            costs="the change holds from the next start on",
            remedy="insula restart those, or compare: virsh dumpxml, with and without --inactive",
        )
    else:
        yield fine("domains.changed", "what runs is what its definition says")
    notices = sorted(each.name for each in domains if each.is_active and _does_without(each))
    if notices:
        yield HostCheck(
            id="domains.unmet",
            gravity=Gravity.WARNING,
            found=f"guests run without something that they should have: {_named(notices)}",
            costs="what that is stands in insula info",
            remedy="insula info each of them",
        )
    else:
        yield fine("domains.unmet", "every guest has what its definition says")
    if opened := sorted(exposed):
        yield HostCheck(
            id="domains.exposed",
            gravity=Gravity.NOTE,
            found=f"guests write where every user of the host may go: {_named(opened)}",
            costs="a program that such a guest's root leaves there setuid makes a user of the host its root",
            remedy="chmod 0700 a directory above, or mount that file system nosuid",
        )
    else:
        yield fine("domains.exposed", "no user of the host gets at what guests write")


def _named(names: "list[str]") -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def differs(managed: ManagedDomain) -> bool:
    """Whether a domain runs by another definition than it has. Documents are read for it that nobody had asked for."""
    if not managed.is_active or managed.config is None:
        return False
    return _chosen(managed.current) != _chosen(managed.config)


def _chosen(domain: DomainDefinition) -> DomainDefinition:
    """Return a definition without what a start adds, as which module confines it."""
    plain = without_live(domain)
    return replace(plain, security_labels=chosen_labels(plain.security_labels))


def _does_without(managed: ManagedDomain) -> bool:
    run = managed.run
    return run is not None and bool(run.container.unmet)


def examine_host(layout: Layout, detect: Callable[[], Facts] = detected) -> tuple[HostCheck, ...]:
    """Return what was checked of this host, as it is now (thread: some tens of milliseconds)."""
    from insula.service.hostdoctor import examined  # only who asks pays for its tables
    from insula.service.hostreadings import own_descriptors, read_host

    facts, unseen = None, ""
    try:
        facts = detect()
    except ConfigurationError as error:
        unseen = str(error)
    now, descriptors = int(time.time()), own_descriptors()
    return examined(read_host(layout, facts, unseen=unseen, now=now, descriptors=descriptors))


def told(checks: Iterable[HostCheck], *, daemon: bool) -> dict[str, Any]:
    """Return checks as JSON values. daemon: whether a running one was asked."""
    names = ("id", "gravity", "found", "costs", "remedy")
    return {"daemon": daemon, "checks": [{each: str(getattr(check, each)) for each in names} for check in checks]}


class DaemonDoctor:
    """Examines the host, and the daemon itself. older_keepers: versions of those that hold guests yet."""

    def __init__(
        self,
        *,
        layout: Layout,
        leftovers: Leftovers,
        older_keepers: Callable[[], Iterable[int]],
        detect: Callable[[], Facts] = detected,
    ) -> None:
        self._layout = layout
        self._detect = detect
        self._leftovers = leftovers
        self._older_keepers = older_keepers

    async def examine(self, domains: Iterable[ManagedDomain]) -> dict[str, Any]:
        """Return all that was checked. domains: those that who asks may see."""
        seen = list(domains)
        host = await in_own_thread(lambda: examine_host(self._layout, self._detect))
        differing, written = [], []
        for each in seen:
            if differs(each):
                differing.append(each.name)
            if each.is_active:  # whose documents have been read by now
                written.append((each.name, written_directories(each.current)))
            await asyncio.sleep(0)  # each may take milliseconds, and there may be a thousand
        left = [each.name for each in seen if each.uuid in self._leftovers]
        own = daemon_checks(
            seen,
            older_keepers=self._older_keepers(),
            leftovers=left,
            differing=differing,
            exposed=await in_own_thread(lambda: exposed(written)),
        )
        return told((*host, *own), daemon=True)
