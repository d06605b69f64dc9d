"""Rows: what they know of themselves, and what their calls need to be allowed."""

import pytest

from insula.rpc.frames import RpcProgram
from insula.rpc.procedure import BOTH, HIGH, TO_CLIENT, TO_SERVER, ProcedureTable, api_name, call, event


class Example(ProcedureTable):
    """A program for these tests."""

    program = RpcProgram.INSULA

    READ_IT = call(1, "what:s flags:u", "value:i", "domain:read domain:write?flags&0x6", HIGH)
    WRITE_IT = call(2, "what:s", "", "domain:write")
    STREAM_IT = call(3, "flags:u", "", "domain:read", stream=TO_CLIENT, sparse=0x1)
    TAKE_FDS = call(4, "", "", "domain:write", fds=TO_SERVER)
    GIVE_FDS = call(5, "", "", "domain:write", fds=TO_CLIENT)
    SWAP_FDS = call(6, "", "", "domain:write", fds=BOTH)
    HAPPENED = event(7, "callbackID:i")


def test_a_row_knows_its_name_and_program_from_its_place() -> None:
    assert (Example.READ_IT.name, Example.READ_IT.program) == ("READ_IT", RpcProgram.INSULA)
    assert repr(Example.READ_IT) == "INSULA.READ_IT"


def test_a_table_finds_its_rows_by_number() -> None:
    assert Example.rows[2] is Example.WRITE_IT
    assert len(Example.rows) == 7


def test_the_bodies_are_compiled_from_the_notation() -> None:
    assert Example.READ_IT.arguments.names == ("what", "flags")
    assert Example.READ_IT.results.names == ("value",)


@pytest.mark.parametrize(("flags", "refused"), [(0, False), (1, False), (2, True), (4, True), (7, True)])
def test_some_flags_of_a_look_make_it_more_than_one(flags: int, refused: bool) -> None:
    assert Example.READ_IT.only_looks(("x", flags)) is not refused
    assert [str(each) for each in Example.READ_IT.permissions(("x", flags))] == ["domain:read", "domain:write"][
        : 1 + refused
    ]


def test_a_writing_call_is_no_look_and_an_event_needs_nothing() -> None:
    assert not Example.WRITE_IT.only_looks(("x",))
    assert Example.HAPPENED.only_looks((1,)) and Example.HAPPENED.permissions((1,)) == ()


def test_holes_are_allowed_by_the_flag_of_a_sparse_stream_only() -> None:
    assert Example.STREAM_IT.allows_holes((1,))
    assert not Example.STREAM_IT.allows_holes((2,))
    assert not Example.READ_IT.allows_holes(("x", 1))


def test_descriptors_go_the_way_the_row_says() -> None:
    rows = (Example.WRITE_IT, Example.TAKE_FDS, Example.GIVE_FDS, Example.SWAP_FDS)
    assert [row.takes_fds for row in rows] == [False, True, False, True]
    assert [row.gives_fds for row in rows] == [False, False, True, True]


@pytest.mark.parametrize(
    ("name", "api"),
    [
        ("DOMAIN_GET_XML_DESC", "virDomainGetXMLDesc"),
        ("DOMAIN_GET_OS_TYPE", "virDomainGetOSType"),
        ("DOMAIN_GET_CPU_STATS", "virDomainGetCPUStats"),
        ("DOMAIN_SET_BLKIO_PARAMETERS", "virDomainSetBlkioParameters"),
        ("DOMAIN_LOOKUP_BY_UUID", "virDomainLookupByUUID"),
        ("DOMAIN_GET_FSINFO", "virDomainGetFSInfo"),
        ("CONNECT_NUM_OF_NWFILTERS", "virConnectNumOfNWFilters"),
        ("NODE_DEVICE_RE_ATTACH", "virNodeDeviceReAttach"),
    ],
)
def test_the_public_api_is_spelled_as_libvirt_spells_it(name: str, api: str) -> None:
    assert api_name(name) == api


class Whole(Example):
    """A table that has some rows from another class."""

    program = RpcProgram.INSULA

    ONE_MORE = call(8, "", "", "connect:read")


def test_a_table_may_be_made_of_several_classes() -> None:
    assert list(Whole.rows) == [*Example.rows, 8]
    assert 8 not in Example.rows
