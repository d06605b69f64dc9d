"""The programs: which rows there are, and how they are found."""

import pytest

from insula.rpc.frames import RpcProgram
from insula.rpc.procedures import PROGRAMS, Direction, Insula, Keepalive, Lxc, Remote, procedure


def test_a_packets_header_finds_its_row() -> None:
    assert procedure(0x20008086, 212) is Remote.DOMAIN_GET_STATE
    assert procedure(0x00068000, 1) is Lxc.DOMAIN_OPEN_NAMESPACE
    assert procedure(0x6B656570, 2) is Keepalive.PONG
    assert procedure(0x494E5355, 13) is Insula.DAEMON_INFO


@pytest.mark.parametrize(("program", "number"), [(0x20008087, 1), (0x20008086, 0), (0x20008086, 99999), (0, 0)])
def test_what_no_table_has_is_none(program: int, number: int) -> None:
    assert procedure(program, number) is None


def test_our_programs_number_spells_our_name() -> None:
    assert RpcProgram.INSULA.to_bytes(4, "big") == b"INSU"


def test_every_row_of_every_program_compiles() -> None:
    for table in PROGRAMS.values():
        for row in table.rows.values():
            assert len(set(row.arguments.names)) == len(row.arguments.names), row
            assert len(set(row.results.names)) == len(row.results.names), row


def test_numbers_are_used_once_and_names_agree_with_their_rows() -> None:
    for table in PROGRAMS.values():
        named = {name for each in table.__mro__ for name in vars(each) if name.isupper()}
        assert {row.name for row in table.rows.values()} == named


def test_nobody_reads_consoles_or_has_plans_made_on_a_read_only_connection() -> None:
    readable = {row.name for row in Insula.rows.values() if row.only_looks((0,) * 8)}
    networks, waits = {"NETWORK_LIST", "NETWORK_INFO"}, {"DOMAIN_WAIT_READY", "DOMAIN_STOP_ORDER"}
    domains = {"DOMAIN_INFO", "DOMAIN_LIST", "DOMAIN_LIMITS", "DOMAIN_WAIT"}
    assert readable == {"IMAGE_LIST", "DAEMON_INFO"} | domains | networks | waits


def test_our_streams_and_descriptors_go_the_way_they_should() -> None:
    assert {row.name for row in Insula.rows.values() if row.stream is Direction.TO_CLIENT} == {
        "IMAGE_BUILD",
        "DOMAIN_LOG",
    }
    assert Insula.DOMAIN_EXEC.takes_fds
    assert Insula.DOMAIN_EXEC.gives_fds
    assert Lxc.DOMAIN_OPEN_NAMESPACE.gives_fds
    assert not Lxc.DOMAIN_OPEN_NAMESPACE.takes_fds


def test_each_of_our_apis_has_a_name_of_its_own() -> None:
    apis = [row.api for row in Insula.rows.values()]
    assert len(set(apis)) == len(apis)
    assert all(api.startswith("insula") for api in apis)
