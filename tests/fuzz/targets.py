"""The table of everything that is fuzzed. `scripts/fuzz MINUTES [NAME]` and the short runs in CI go by it."""

from functools import partial

from tests.fuzz import codec, documents, foreign, guestfiles, live, proofs, sessions
from tests.fuzz.target import Target, stateless
from tests.fuzz.wire import count_of

TARGETS: tuple[Target, ...] = (
    Target(name="bodies", inputs=codec.bodies, world=stateless(codec.unpacked), count=30_000),
    Target(name="values", inputs=codec.chances, world=stateless(codec.packed), count=10_000),
    Target(name="packets", inputs=codec.calls, world=stateless(codec.split), count=8_000, units=count_of),
    Target(name="server-end", inputs=codec.calls, world=stateless(codec.served), count=8_000, units=count_of),
    Target(name="client-end", inputs=codec.replies, world=stateless(codec.answered), count=5_000),
    Target(name="sessions", inputs=sessions.streams, world=sessions.world, count=1_500),
    Target(name="domain-xml", inputs=documents.domains, world=stateless(documents.domain_xml), count=2_000, stall=0.2),
    Target(
        name="network-xml", inputs=documents.networks, world=stateless(documents.network_xml), count=2_000, stall=0.2
    ),
    Target(name="foreign-config", inputs=foreign.documents, world=stateless(foreign.converted), count=2_000, stall=0.2),
    Target(name="cdi", inputs=foreign.descriptions, world=stateless(foreign.described), count=5_000, stall=0.2),
    Target(name="plan", inputs=documents.plans, world=stateless(documents.plan), count=2_000),
    Target(name="container", inputs=documents.containers, world=stateless(documents.container), count=3_000),
    Target(name="run", inputs=documents.runs, world=stateless(documents.run_record), count=3_000),
    Target(name="exec", inputs=documents.requests, world=stateless(documents.exec_request), count=3_000),
    Target(name="message", inputs=documents.messages, world=stateless(documents.message), count=3_000),
    Target(name="visit", inputs=documents.visits, world=stateless(documents.visit), count=2_000),
    Target(name="recipe", inputs=documents.recipes, world=stateless(documents.recipe), count=2_000),
    Target(name="id-list", inputs=documents.id_lists, world=stateless(documents.id_list), count=2_000),
    Target(name="image-name", inputs=documents.names, world=stateless(documents.image_name), count=5_000),
    Target(name="settings", inputs=documents.settings, world=stateless(documents.daemon_settings), count=3_000),
    Target(name="proofs", inputs=proofs.messages, world=stateless(proofs.believed), count=3_000),
    Target(name="sasl-users", inputs=proofs.files, world=stateless(proofs.user_file), count=3_000),
    Target(name="accounts", inputs=guestfiles.account_files, world=guestfiles.account_world, count=5_000),
    Target(name="guest-bus", inputs=guestfiles.bus_answers, world=stateless(guestfiles.bus_answer), count=5_000),
    Target(
        name="os-release",
        inputs=guestfiles.releases,
        world=partial(documents.in_directory, guestfiles.os_release),
        count=1_000,
    ),
    Target(
        name="subids",
        inputs=guestfiles.subids,
        world=partial(documents.in_directory, guestfiles.subordinate),
        count=1_000,
    ),
    Target(name="apt-sources", inputs=guestfiles.sources, world=stateless(guestfiles.apt_sources), count=3_000),
    Target(
        name="sockets",
        inputs=live.streams,
        world=live.sockets,
        count=1_000,
        stall=10,
        units=live.packets_of,
        enclosed=True,
    ),
    Target(name="keeper", inputs=live.datagrams, world=live.keeper, count=1_500, stall=10, enclosed=True),
)


def target(name: str) -> Target:
    """Return the target of that name. Raises: LookupError."""
    for each in TARGETS:
        if each.name == name:
            return each
    raise LookupError(f"no target '{name}'; there are: {', '.join(each.name for each in TARGETS)}")
