"""Packets: their bytes, and any chunking of a stream of them gives the same ones."""

import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.errors import RpcError
from insula.rpc.frames import FD_CARRIER, FDS_MAX, LENGTH_MAX, Frame, PacketType, Splitter, pack_frame

CALL = Frame(0x20008086, 1, 212, PacketType.CALL, 5, 0, b"body")


def with_fds(fds: tuple[int, ...]) -> Frame:
    return CALL._replace(type=PacketType.CALL_WITH_FDS, fds=fds)


PLAIN = st.builds(
    Frame,
    program=st.integers(0, 2**32 - 1),
    version=st.integers(0, 3),
    procedure=st.integers(-(2**31), 2**31 - 1),
    type=st.sampled_from([0, 1, 2, 3, 6, 99]),
    serial=st.integers(0, 2**32 - 1),
    status=st.integers(0, 2),
    body=st.binary(max_size=40),
    fds=st.just(()),
)
FRAMES = st.lists(PLAIN | st.lists(st.integers(0, 99), max_size=4).map(tuple).map(with_fds), max_size=6)


def chunked(frames: list[Frame], cuts: list[int]) -> list[tuple[bytes, list[int]]]:
    """The stream of these frames, cut; each descriptor is in the chunk of its carrier byte."""
    atoms: list[tuple[int, int | None]] = []
    for frame in frames:
        atoms += [(byte, None) for byte in pack_frame(frame)]
        atoms += [(FD_CARRIER[0], fd) for fd in frame.fds]
    edges = sorted({0, len(atoms), *(cut % (len(atoms) + 1) for cut in cuts)})
    pieces = [atoms[start:stop] for start, stop in pairwise(edges)]
    return [(bytes(byte for byte, _ in piece), [fd for _, fd in piece if fd is not None]) for piece in pieces]


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_gives_the_same_frames(frames: list[Frame], cuts: list[int]) -> None:
    splitter = Splitter()
    seen = [frame for data, fds in chunked(frames, cuts) for frame in splitter.feed(data, fds)]
    assert seen == frames
    assert splitter.take_fds() == []


@given(frames=FRAMES)
def test_one_byte_at_a_time_gives_the_same_frames(frames: list[Frame]) -> None:
    splitter = Splitter()
    pieces = chunked(frames, list(range(10_000)))
    assert [frame for data, fds in pieces for frame in splitter.feed(data, fds)] == frames


@given(junk=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_junk_raises_nothing_but_an_rpc_error(junk: bytes, cuts: list[int]) -> None:
    splitter = Splitter()
    edges = sorted({0, len(junk), *(min(cut, len(junk)) for cut in cuts)})
    with suppress(RpcError):
        for start, stop in pairwise(edges):
            splitter.feed(junk[start:stop])


def test_the_header_is_seven_big_endian_words() -> None:
    assert pack_frame(CALL) == bytes.fromhex("00000020 20008086 00000001 000000d4 00000000 00000005 00000000") + b"body"


def test_the_number_of_descriptors_counts_in_the_length_and_their_carriers_do_not() -> None:
    packed = pack_frame(with_fds((3, 4)))
    assert struct.unpack(">I", packed[:4]) == (len(packed),) == (28 + 4 + 4,)
    assert packed[28:32] == b"\0\0\0\2"


@pytest.mark.parametrize("length", [0, 27, LENGTH_MAX + 1, 2**32 - 1])
def test_a_length_outside_its_limits_is_refused_at_once(length: int) -> None:
    with pytest.raises(RpcError, match=str(length)):
        Splitter().feed(struct.pack(">I", length))


def test_a_packet_of_the_largest_length_passes_and_a_larger_one_is_not_made() -> None:
    largest = CALL._replace(body=bytes(LENGTH_MAX - 28))
    assert Splitter().feed(pack_frame(largest)) == [largest]
    with pytest.raises(RpcError):
        pack_frame(CALL._replace(body=bytes(LENGTH_MAX - 27)))


def test_more_than_32_descriptors_are_refused_both_ways() -> None:
    fds = tuple(range(FDS_MAX + 1))
    with pytest.raises(RpcError):
        pack_frame(with_fds(fds))
    header = pack_frame(with_fds(()))[:28]
    with pytest.raises(RpcError, match="33"):
        Splitter().feed(header + struct.pack(">I", FDS_MAX + 1) + b"body")


def test_a_packet_of_the_type_without_a_number_of_descriptors_is_refused() -> None:
    bare = pack_frame(CALL._replace(type=PacketType.REPLY, body=b""))
    bare = bare[:16] + struct.pack(">I", PacketType.REPLY_WITH_FDS) + bare[20:]
    with pytest.raises(RpcError):
        Splitter().feed(bare)


def test_a_descriptor_that_no_packet_announces_is_refused_and_given_back() -> None:
    splitter = Splitter()
    with pytest.raises(RpcError):
        splitter.feed(pack_frame(CALL), [7])
    assert splitter.take_fds() == [7]


def test_a_descriptor_that_comes_before_its_packet_is_refused() -> None:
    splitter = Splitter()
    with pytest.raises(RpcError):
        splitter.feed(pack_frame(with_fds((7,)))[:30], [7])


def test_an_announced_descriptor_that_does_not_come_is_refused() -> None:
    with pytest.raises(RpcError, match="announced"):
        Splitter().feed(pack_frame(with_fds((7,))) + FD_CARRIER)


def test_descriptors_of_frames_before_a_broken_one_are_given_back_too() -> None:
    splitter = Splitter()
    with pytest.raises(RpcError):
        splitter.feed(pack_frame(with_fds((7, 8))) + FD_CARRIER * 2 + b"\0\0\0\0", [7, 8])
    assert sorted(splitter.take_fds()) == [7, 8]
