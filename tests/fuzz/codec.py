"""The wire's codec: bodies of every procedure both ways, packets cut from streams, and both ends of a connection."""

from collections.abc import Callable
from random import Random
from typing import Any

from insula.errors import OperationFailedError, RpcError
from insula.rpc.arrivals import Call, Role, StreamData, StreamFinish
from insula.rpc.connection import Connection
from insula.rpc.frames import Frame, PacketType, Splitter
from insula.rpc.notation import BodyCodec, record
from insula.rpc.procedures import Remote
from tests.fuzz.mutation import EXTREMES, edited, raw
from tests.fuzz.target import BrokenError
from tests.fuzz.wire import CALLS, ERROR, HEADER, ROWS, packet, packet_of, values_of

_NOTATIONS = sorted({each for row in ROWS for each in (row.arguments_notation, row.results_notation)} | {ERROR})
_RECORDS: tuple[BodyCodec, ...] = tuple(map(record, _NOTATIONS))
_VALUES = tuple(map(values_of, _NOTATIONS))
_MUTANTS = 8


def bodies(chance: Random) -> Callable[[], bytes]:
    """Make bodies, each behind two bytes that say of which record: valid ones, and several mutants of each."""
    held: list[bytes] = []

    def make() -> bytes:
        if not held:
            number = int(chance.random() * len(_RECORDS))
            head = number.to_bytes(2, "big")
            body = _RECORDS[number].pack(_VALUES[number](chance))
            held.append(head + body)
            held.extend(head + edited(body, chance) for _ in range(_MUTANTS))
            held.append(head + raw(chance, 64))
        return held.pop()

    return make


def unpacked(data: bytes) -> None:
    """A body is refused with RpcError, or gives values that travel back and forth unchanged."""
    codec = _RECORDS[int.from_bytes(data[:2], "big") % len(_RECORDS)]
    try:
        values = codec.unpack(data[2:])
    except RpcError:
        return
    again = codec.unpack(codec.pack(values))
    if again != values and repr(again) != repr(values):  # what is no number equals nothing
        raise BrokenError(f"{values!r} came back as {again!r}")


_STRANGE: tuple[Any, ...] = (None, -1, 2**64, "\0", "\ud800", b"\0" * 20, (), ((),), 1.5, object, "x" * 20, [None])


def packed(data: bytes) -> None:
    """Values are refused with RpcError, or packed to what unpacks again. data: what chance begins with."""
    chance = Random(data)
    number = chance.randrange(len(_RECORDS))
    values = list(_VALUES[number](chance))
    for _ in range(chance.randrange(3)):
        if values:
            values[chance.randrange(len(values))] = chance.choice(_STRANGE)
    if chance.random() < 0.1:
        values.append(chance.choice(_STRANGE))
    codec = _RECORDS[number]
    try:
        body = codec.pack(values)
    except RpcError:
        return
    try:
        codec.unpack(body)
    except RpcError:
        if "(" not in _NOTATIONS[number]:  # sizes that a peer names are checked where they come in
            raise


def chances(chance: Random) -> Callable[[], bytes]:
    """Make what chance begins with."""
    return lambda: chance.randbytes(8)


# Packets


def calls(chance: Random) -> Callable[[], bytes]:
    """Make streams of one to four packets, some of them damaged."""
    arguments = {row: values_of(row.arguments_notation) for row in CALLS}
    ping = packet(ROWS[-1], PacketType.MESSAGE, 0, 0, b"")

    def one() -> bytes:
        kind = chance.random()
        if kind < 0.1:
            return ping
        row = CALLS[int(chance.random() * len(CALLS))]
        serial = int(chance.random() * 4)
        if kind < 0.2:
            body = chance.randbytes(int(chance.random() * 64))
            return packet(row, PacketType.STREAM, serial, int(chance.random() * 3), body)
        if kind < 0.3:
            words = [EXTREMES[int(chance.random() * len(EXTREMES))] & 0x7FFFFFFF for _ in range(7)]
            return HEADER.pack(*words) if kind < 0.25 else HEADER.pack(HEADER.size, *words[1:])
        if kind < 0.4:
            return HEADER.pack(
                HEADER.size + 4, row.program, 1, row.number, PacketType.CALL_WITH_FDS, serial, 0
            ) + bytes(4)
        return packet_of(row, serial, arguments[row](chance))

    def make() -> bytes:
        data = b"".join(one() for _ in range(1 + int(chance.random() * 4)))
        return edited(data, chance) if chance.random() < 0.4 else data

    return make


def split(data: bytes) -> None:
    """However a stream is cut, it gives the same packets, or the same refusal, and holds no more than it was given."""
    whole = _split_in(data, len(data) or 1)
    for size in (1 + len(data) % 7, 29):
        if (apart := _split_in(data, size)) != whole:
            raise BrokenError(f"in parts of {size} it gives {apart}, at once {whole}")


def _split_in(data: bytes, size: int) -> tuple[list[Frame], bool]:
    splitter = Splitter()
    frames: list[Frame] = []
    try:
        for at in range(0, len(data), size):
            frames += splitter.feed(data[at : at + size])
    except RpcError:
        # What came at once with the broken packet is given up with it.
        return [], True
    return frames, False


def served(data: bytes) -> None:
    """A server's end takes any stream: it refuses it with RpcError, or answers what a client's end understands."""
    server, client = Connection(Role.SERVER), Connection(Role.CLIENT)
    try:
        events = server.receive_data(data)
    except RpcError:
        return
    finally:
        if server.unclaimed_fds():
            raise BrokenError("descriptors came from nowhere")
    for event in events:
        if isinstance(event, Call):
            server.error(event, OperationFailedError("no"))
        elif isinstance(event, StreamData | StreamFinish):
            server.abort(event.stream, OperationFailedError("no"))
    if server.outstanding:
        raise BrokenError(f"{server.outstanding} calls wait for ever")
    answers = Splitter()
    for sent, _ in server.data_to_send():
        answers.feed(sent)
    client.call(Remote.CONNECT_GET_VERSION)


def answered(data: bytes) -> None:
    """A client's end takes any stream from a server: it refuses it with RpcError, or gives events.

    data: a byte that says which calls the client waits for, and the stream.
    """
    client = Connection(Role.CLIENT)
    for serial in range(_WAITING):
        number = _called(data[0] if data else 0, serial)
        client.call(CALLS[number], *_FIXED[number])
    client.data_to_send()
    try:
        client.receive_data(data[1:])
    except RpcError:
        return


_WAITING = 4
_FIXED = tuple(values_of(row.arguments_notation)(Random(0)) for row in CALLS)


def _called(base: int, serial: int) -> int:
    return (base * 2 + serial) % len(CALLS)


def replies(chance: Random) -> Callable[[], bytes]:
    """Make what a server might send: replies, errors, events and stream packets, some of them damaged."""
    results = {row: values_of(row.results_notation) for row in CALLS}
    told = [(row, values_of(row.arguments_notation)) for row in ROWS if row.is_event]
    errors = record(ERROR), values_of(ERROR)

    def one(base: int) -> bytes:
        kind = chance.random()
        serial = int(chance.random() * _WAITING)
        row = CALLS[_called(base, serial)]
        if kind < 0.2:
            event, values = told[int(chance.random() * len(told))]
            return packet(event, PacketType.MESSAGE, 0, 0, event.arguments.pack(values(chance)))
        if kind < 0.4:
            return packet(row, PacketType.REPLY, serial, 1, errors[0].pack(errors[1](chance)))
        if kind < 0.5:
            return packet(row, PacketType.STREAM, serial, int(chance.random() * 3), chance.randbytes(8))
        return packet(row, PacketType.REPLY, serial, 0, row.results.pack(results[row](chance)))

    def make() -> bytes:
        base = int(chance.random() * 256)
        data = b"".join(one(base) for _ in range(1 + int(chance.random() * 3)))
        return bytes([base]) + (edited(data, chance) if chance.random() < 0.5 else data)

    return make
