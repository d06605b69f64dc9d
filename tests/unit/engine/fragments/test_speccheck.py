"""Tests of insula.engine.fragments.speccheck: what is refused, and what to do about it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.engine.fragments.speccheck import (
    CONSOLES_MAX,
    NAMESPACED_SETTINGS,
    SHAREABLE,
    check,
    own_network,
    root_paths,
)
from insula.engine.interfacespec import NetworkKind, VethInterface
from insula.engine.passednumbers import PASSED_FDS_MAX
from insula.engine.spec import (
    ALL_NAMESPACES,
    ContainerSpec,
    DirectoryRoot,
    IdMap,
    IdRange,
    Namespace,
    OverlayRoot,
    Process,
    ResourceLimit,
    Root,
    SharedNamespace,
    TmpfsRoot,
)
from insula.errors import InsulaError, InvalidArgumentError, UnsupportedConfigError
from insula.kernel.idmap import LINES_MAX
from tests.unit.engine.fragments.example import FACTS, IDS, PRIVILEGED, SPEC

OVERLAY = OverlayRoot(lower=("/a", "/b"), upper="/c/upper", work="/c/work")


def refusal(spec: ContainerSpec, kind: type[InsulaError] = InvalidArgumentError) -> str:
    """Return why the spec is refused."""
    with pytest.raises(kind) as caught:
        check(spec, FACTS)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert not text.endswith(".")
    return text


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        PRIVILEGED,
        replace(SPEC, name="ü with spaces", hostname="x" * 64, machine_id="0" * 32),
        replace(SPEC, consoles=0, inherited_fds=0),
        replace(SPEC, consoles=CONSOLES_MAX, inherited_fds=PASSED_FDS_MAX),
        replace(SPEC, root=OVERLAY),
        replace(SPEC, root=TmpfsRoot(lower=("/a",))),
        replace(SPEC, time_offsets=(1, 2)),
    ],
)
def test_what_can_be_launched_passes(spec: ContainerSpec) -> None:
    check(spec, FACTS)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "a\x00", "\x7f", "x" * 256])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    assert "is no name for a container" in refusal(replace(SPEC, name=name))


@pytest.mark.parametrize(
    "uuid", ["", "web", SPEC.uuid.upper(), SPEC.uuid + "\n", "../" + SPEC.uuid, "{" + SPEC.uuid + "}"]
)
def test_what_is_no_uuid_is_refused(uuid: str) -> None:
    assert "is no UUID in lower case" in refusal(replace(SPEC, uuid=uuid))


@pytest.mark.parametrize("hostname", ["", "x" * 65, "ü" * 33])
def test_a_host_name_that_the_kernel_cannot_hold_is_refused(hostname: str) -> None:
    assert "a host name has 1 to 64 bytes" in refusal(replace(SPEC, hostname=hostname))


@pytest.mark.parametrize("machine_id", ["", "b" * 31, "B" * 32, "g" * 32, SPEC.uuid, "b" * 32 + "\n"])
def test_what_is_no_machine_id_is_refused(machine_id: str) -> None:
    assert "32 hexadecimal digits" in refusal(replace(SPEC, machine_id=machine_id))


@pytest.mark.parametrize("argv", [(), ("",), ("", "-v")])
def test_a_container_without_init_is_refused(argv: tuple[str, ...]) -> None:
    assert refusal(replace(SPEC, init=Process(argv=argv))) == "the container's init is missing"


HOST_ROOTS = ["/", "//", "///", "/.", "/./", "/srv/..", "/../..", "//srv/../", "/srv/./../."]
PLACES: list[Callable[[str], Root]] = [
    lambda path: DirectoryRoot(path=path),
    lambda path: replace(OVERLAY, lower=("/a", path)),
    lambda path: replace(OVERLAY, upper=path),
    lambda path: replace(OVERLAY, work=path),
    lambda path: TmpfsRoot(lower=(path, "/a")),
]


@pytest.mark.parametrize("root", PLACES)
@pytest.mark.parametrize("path", HOST_ROOTS)
def test_the_hosts_own_root_is_refused_in_every_place_and_spelling(root: Callable[[str], Root], path: str) -> None:
    assert "the host's own root cannot be a container's" in refusal(replace(SPEC, root=root(path)))


@pytest.mark.parametrize("root", PLACES)
@pytest.mark.parametrize("path", ["", "srv/web", "./srv", "~"])
def test_a_relative_root_is_refused_in_every_place(root: Callable[[str], Root], path: str) -> None:
    assert refusal(replace(SPEC, root=root(path))) == f"the root '{path}' is not an absolute path"


def test_every_directory_that_a_root_is_made_of_is_known() -> None:
    assert list(root_paths(SPEC)) == ["/srv/web"]
    assert list(root_paths(replace(SPEC, root=OVERLAY))) == ["/a", "/b", "/c/upper", "/c/work"]
    assert list(root_paths(replace(SPEC, root=TmpfsRoot(lower=("/a", "/b"))))) == ["/a", "/b"]


@pytest.mark.parametrize("root", [replace(OVERLAY, lower=()), TmpfsRoot(lower=())])
def test_layers_need_a_lower_one(root: Root) -> None:
    assert "needs at least one lower layer" in refusal(replace(SPEC, root=root))


def mapped(uids: Any, gids: Any = IDS.gids) -> ContainerSpec:
    """Return a container with maps of triples: first inside, first outside, count."""

    def ranges(extents: Any) -> tuple[IdRange, ...]:
        return tuple(
            each if isinstance(each, IdRange) else IdRange(inside=each[0], outside=each[1], count=each[2])
            for each in extents
        )

    return replace(SPEC, idmap=IdMap(uids=ranges(uids), gids=ranges(gids)))


def test_privilege_is_asked_for_by_word_and_not_together_with_a_map() -> None:
    assert "give it a map, or ask for that" in refusal(replace(SPEC, idmap=None))
    assert "take one of the two away" in refusal(replace(SPEC, privileged=True))


@pytest.mark.parametrize(
    ("extents", "reason"),
    [
        ([(0, 1000, 0)], "an empty or a negative range"),
        ([(0, 1000, -5)], "an empty or a negative range"),
        ([(-1, 1000, 5)], "an empty or a negative range"),
        ([(0, -1000, 5)], "an empty or a negative range"),
        ([(0, 1000, 10), (9, 5000, 1)], "gives an id inside two meanings"),
        ([(0, 1000, 10), (20, 1009, 1)], "gives an id of the host two meanings"),
        ([(20, 1000, 10), (0, 995, 6)], "gives an id of the host two meanings"),
        ([(1, 1000, 10)], "has no entry for 0"),
        ([], "has no entry for 0"),
    ],
)
@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_a_map_that_the_kernel_or_we_cannot_use_is_refused(kind: str, extents: Any, reason: str) -> None:
    spec = mapped(extents) if kind == "uid" else mapped(IDS.uids, extents)
    text = refusal(spec)
    assert reason in text
    assert f"the {kind} map" in text


def test_ranges_may_touch() -> None:
    check(mapped([(0, 1000, 10), (10, 1010, 10), (30, 990, 10)]), FACTS)


def test_a_map_has_no_more_lines_than_the_kernel_takes() -> None:
    extents = [(number * 2, 1000 + number * 2, 1) for number in range(LINES_MAX + 1)]
    check(mapped(extents[:-1]), FACTS)
    assert f"has {LINES_MAX + 1} ranges; the kernel takes {LINES_MAX}" in refusal(mapped(extents))


@pytest.mark.parametrize("extents", [[(0, 0, 1)], [(0, 1000, 5), (7, 0, 1)]])
def test_the_hosts_root_is_no_id_of_a_guest(extents: Any) -> None:
    assert "makes the host's root an id of the guest" in refusal(mapped(extents))
    assert "makes the host's root group a group of the guest" in refusal(mapped([(0, 1000, 12)], extents))


RUNS = some.lists(some.tuples(some.integers(0, 30), some.integers(1, 30), some.integers(1, 8)), min_size=1, max_size=4)


@given(RUNS)
def test_a_map_passes_exactly_if_no_id_has_two_meanings_and_there_is_a_root(
    extents: list[tuple[int, int, int]],
) -> None:
    pairs = [(inside + step, outside + step) for inside, outside, count in extents for step in range(count)]
    unique = all(len({pair[side] for pair in pairs}) == len(pairs) for side in (0, 1))
    has_root = any(inside == 0 for inside, _, _ in extents)
    try:
        check(mapped(extents), FACTS)
    except InvalidArgumentError:
        passed = False
    else:
        passed = True
    assert passed == (unique and has_root)


@pytest.mark.parametrize("missing", [Namespace.MOUNT, Namespace.PID])
def test_some_namespaces_are_always_its_own(missing: Namespace) -> None:
    text = refusal(replace(SPEC, namespaces=ALL_NAMESPACES - {missing}), UnsupportedConfigError)
    assert text == f"a container needs namespaces of its own: {missing.value}"


@pytest.mark.parametrize("kind", Namespace)
def test_only_namespaces_that_can_be_shared_are(kind: Namespace) -> None:
    spec = replace(SPEC, shared_namespaces=(SharedNamespace(kind=kind, path="/run/netns/a"),))
    if kind in SHAREABLE:
        check(spec, FACTS)
    else:
        assert f"a {kind.value} namespace cannot be shared; these can: ipc, net, uts" in refusal(
            spec, UnsupportedConfigError
        )


def test_clocks_are_shifted_only_where_the_kernel_can() -> None:
    spec = replace(SPEC, time_offsets=(0, 0))
    with pytest.raises(UnsupportedConfigError, match="no time namespaces: take the clock offsets away"):
        check(spec, replace(FACTS, time_namespaces=False))


FOREIGN = {
    "host": replace(SPEC, network=NetworkKind.HOST),
    "none": replace(SPEC, namespaces=ALL_NAMESPACES - {Namespace.NETWORK}),
    "shared": replace(SPEC, shared_namespaces=(SharedNamespace(kind=Namespace.NETWORK, path="/run/netns/a"),)),
}


@pytest.mark.parametrize("spec", FOREIGN.values(), ids=FOREIGN.keys())
def test_interfaces_and_settings_need_a_network_of_its_own(spec: ContainerSpec) -> None:
    assert not own_network(spec)
    check(spec, FACTS)
    assert "cannot have interfaces" in refusal(
        replace(spec, interfaces=(VethInterface(guest="eth0"),)), UnsupportedConfigError
    )
    assert "not the container's" in refusal(
        replace(spec, sysctls=(("net.ipv4.ip_forward", "1"),)), UnsupportedConfigError
    )


@pytest.mark.parametrize(
    ("interfaces", "complaint"),
    [
        ((VethInterface(guest="eth%d"),), "'eth%d' cannot name an interface"),
        ((VethInterface(guest="eth0", host="a/b"),), "'a/b' cannot name an interface"),
        ((VethInterface(guest="eth0"), VethInterface(guest="eth0")), "two interfaces have the name 'eth0'"),
        ((VethInterface(guest="a", host="v"), VethInterface(guest="b", host="v")), "two interfaces have the name 'v'"),
    ],
)
def test_interfaces_have_names_that_linux_takes_and_no_two_the_same(
    interfaces: tuple[VethInterface, ...], complaint: str
) -> None:
    assert complaint in refusal(replace(SPEC, interfaces=interfaces))


def test_a_container_has_a_network_of_its_own_unless_it_says_otherwise() -> None:
    assert own_network(SPEC)
    assert own_network(PRIVILEGED)


@pytest.mark.parametrize("consoles", [-1, CONSOLES_MAX + 1])
def test_the_number_of_consoles_is_limited(consoles: int) -> None:
    assert f"a container has 0 to {CONSOLES_MAX} consoles, not {consoles}" in refusal(replace(SPEC, consoles=consoles))


@pytest.mark.parametrize("count", [-1, PASSED_FDS_MAX + 1])
def test_the_number_of_passed_fds_is_limited(count: int) -> None:
    assert f"0 to {PASSED_FDS_MAX} fds, not {count}" in refusal(replace(SPEC, inherited_fds=count))


@pytest.mark.parametrize("name", ["", "nofile", "LOCKS", "RLIMIT_NOFILE", "INFINITY", "__class__"])
def test_a_resource_that_does_not_exist_is_refused(name: str) -> None:
    limit = ResourceLimit(name=name, soft=1, hard=1)
    assert f"there is no resource limit '{name}'" in refusal(replace(SPEC, resource_limits=(limit,)))


@pytest.mark.parametrize(
    "name", ["net.ipv4.ip_forward", "net/core/somaxconn", "kernel.msgmax", "kernel.shmall", "fs.mqueue.msg_max"]
)
def test_settings_of_its_own_namespaces_may_be_made(name: str) -> None:
    check(replace(SPEC, sysctls=((name, "1"),)), FACTS)


@pytest.mark.parametrize(("prefix", "kind"), NAMESPACED_SETTINGS)
def test_a_setting_needs_its_namespace(prefix: str, kind: Namespace) -> None:
    spec = replace(SPEC, sysctls=((f"{prefix}x", "1"),))
    check(spec, FACTS)
    without = replace(PRIVILEGED, sysctls=spec.sysctls, namespaces=ALL_NAMESPACES - {kind})
    assert "would be the host's, not the container's" in refusal(without, UnsupportedConfigError)


@pytest.mark.parametrize(("name", "kind"), [("kernel.shmmax", Namespace.IPC), ("kernel.domainname", Namespace.UTS)])
def test_a_setting_of_a_namespace_that_is_shared_is_anothers(name: str, kind: Namespace) -> None:
    shared = (SharedNamespace(kind=kind, path="/proc/7/ns/x"),)
    text = refusal(replace(SPEC, sysctls=((name, "1"),), shared_namespaces=shared), UnsupportedConfigError)
    assert text == f"the kernel setting '{name}' would be another's, not the container's"


@pytest.mark.parametrize(
    "name", ["kernel.panic", "vm.swappiness", "kernel.core_pattern", "fs.file-max", "netx.a", "kernel"]
)
def test_settings_of_the_hosts_are_refused(name: str) -> None:
    assert f"the kernel setting '{name}' would be the host's" in refusal(
        replace(PRIVILEGED, sysctls=((name, "1"),)), UnsupportedConfigError
    )


@pytest.mark.parametrize(
    "name",
    ["net/../kernel/core_pattern", "net.../kernel", "/net/core/a", ".net", "net//a", "net/./../../vm/overcommit"],
)
def test_a_setting_cannot_lead_elsewhere(name: str) -> None:
    assert refusal(replace(PRIVILEGED, sysctls=((name, "1"),))) == f"'{name}' is no kernel setting"
