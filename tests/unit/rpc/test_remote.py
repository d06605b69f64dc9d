"""The REMOTE table against libvirt itself: its library's symbols, and its rule for read-only connections."""

import ctypes

import pytest

from insula.rpc.frames import PacketType, RpcProgram, Status, pack_frame
from insula.rpc.procedure import Direction, Priority, Procedure
from insula.rpc.procedures import procedure
from insula.rpc.refusals import ABSENT
from insula.rpc.remote import Remote
from tests.unit.rpc.goldenframes import Recorded, recorded

LATER_THAN_9_0 = {
    "virDomainAnnounceInterface",
    "virDomainDelThrottleGroup",
    "virDomainGetAutostartOnce",
    "virDomainGraphicsReload",
    "virDomainSetAutostartOnce",
    "virDomainSetThrottleGroup",
    "virNetworkGetMetadata",
    "virNetworkSetMetadata",
    "virNodeDeviceUpdate",
}
"""Public APIs that the oldest client we support does not have yet."""


@pytest.mark.requires("virsh")
def test_every_api_we_name_is_a_symbol_of_libvirts_library() -> None:
    library = ctypes.CDLL("libvirt.so.0")
    named = {row.api for row in Remote.rows.values() if not row.is_event and not row.name.startswith("AUTH_")}
    unknown = {api for api in named | set(ABSENT[RpcProgram.REMOTE].values()) if not hasattr(library, api)}
    assert unknown <= LATER_THAN_9_0
    qemu = ctypes.CDLL("libvirt-qemu.so.0")
    assert all(hasattr(qemu, api) for api in ABSENT[RpcProgram.QEMU].values())


ZEROS = (0,) * 16
"""Arguments without any flag."""

EVENTS_WE_NEVER_SEND = {
    *(170, 172, 173, 320),
    *range(322, 331),
    *(195, 224, 241, 248, 268, 269, 270, 292, 332, 339, 385, 438, 453, 455),
}
"""Of devices and jobs that only virtual machines have; and some that came after 9.0."""


def test_every_procedure_up_to_the_newest_has_a_row_or_a_name() -> None:
    assert set(range(1, 457)) - Remote.rows.keys() - ABSENT[RpcProgram.REMOTE].keys() == EVENTS_WE_NEVER_SEND


@pytest.mark.parametrize(
    "name",
    [
        "DOMAIN_CREATE",
        "DOMAIN_DEFINE_XML",
        "DOMAIN_OPEN_CONSOLE",
        "DOMAIN_ATTACH_DEVICE",
        "DOMAIN_SET_MEMORY",
        "DOMAIN_SEND_PROCESS_SIGNAL",
        "SECRET_GET_VALUE",
        "DOMAIN_SAVE_IMAGE_GET_XML_DESC",
        "CONNECT_DOMAIN_XML_FROM_NATIVE",
        "STORAGE_VOL_DOWNLOAD",
    ],
)
def test_what_changes_or_reveals_is_for_writers(name: str) -> None:
    row: Procedure = getattr(Remote, name)
    assert not row.only_looks(ZEROS[: len(row.arguments.names)])


@pytest.mark.parametrize(
    "name",
    ["CONNECT_OPEN", "CONNECT_CLOSE", "AUTH_LIST", "DOMAIN_GET_STATE", "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY"],
)
def test_what_everybody_needs_is_for_readers(name: str) -> None:
    row: Procedure = getattr(Remote, name)
    assert row.only_looks(ZEROS[: len(row.arguments.names)])


def test_no_procedure_that_sets_defines_or_destroys_may_be_called_read_only() -> None:
    verbs = {"SET", "DEFINE", "UNDEFINE", "CREATE", "DESTROY", "DELETE", "ATTACH", "DETACH", "UPDATE", "SAVE", "WIPE"}
    readable = [row.name for row in Remote.rows.values() if row.only_looks(ZEROS) and not row.is_event]
    suspicious = {name for name in readable if verbs & set(name.split("_"))}
    assert suspicious == {"DOMAIN_HAS_MANAGED_SAVE_IMAGE", "DOMAIN_MANAGED_SAVE_GET_XML_DESC"}


def test_secrets_in_the_xml_are_for_writers() -> None:
    domain = ("web", bytes(16), 1)
    assert Remote.DOMAIN_GET_XML_DESC.only_looks((domain, 2))
    assert not Remote.DOMAIN_GET_XML_DESC.only_looks((domain, 1))
    assert not Remote.DOMAIN_GET_XML_DESC.only_looks((domain, 8))


def test_a_stuck_domain_must_not_block_listing_and_destroying() -> None:
    for row in (Remote.CONNECT_LIST_ALL_DOMAINS, Remote.DOMAIN_GET_STATE, Remote.DOMAIN_DESTROY):
        assert row.priority is Priority.HIGH
    assert Remote.DOMAIN_CREATE.priority is Priority.NORMAL


def test_a_volume_goes_down_to_the_client_and_up_to_the_server_with_holes_if_asked() -> None:
    assert Remote.STORAGE_VOL_DOWNLOAD.stream is Direction.TO_CLIENT
    assert Remote.STORAGE_VOL_UPLOAD.stream is Direction.TO_SERVER
    volume = ("pool", "name", "key")
    assert Remote.STORAGE_VOL_UPLOAD.allows_holes((volume, 0, 0, 1))
    assert not Remote.STORAGE_VOL_UPLOAD.allows_holes((volume, 0, 0, 0))


def body_repacked(packet: Recorded) -> bytes | None:
    """The body after unpacking and packing it by our rows; None if it is not a row's."""
    frame = packet.frame
    row = procedure(frame.program, frame.procedure)
    if row is None or frame.status != Status.OK or frame.type == PacketType.STREAM:
        return None
    codec = row.results if frame.type == PacketType.REPLY else row.arguments
    return codec.pack(codec.unpack(frame.body))


def test_what_libvirt_sent_is_read_and_written_byte_by_byte() -> None:
    repacked = {packet: body for packet in recorded() if (body := body_repacked(packet)) is not None}
    assert [packet for packet, body in repacked.items() if body != packet.frame.body] == []
    assert len({packet.frame.procedure for packet in repacked}) > 130
    assert len(repacked) > 250


def test_the_headers_that_libvirt_sent_are_written_byte_by_byte() -> None:
    assert [packet for packet in recorded() if pack_frame(packet.frame) != packet.raw] == []
