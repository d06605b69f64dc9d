"""Our own program's requests: JSON that is checked field by field."""

import json
import os

import pytest

from insula.daemon.dispatch.nativecalls import _exec_request
from insula.errorcodes import ErrorCode
from insula.errors import InsulaError, InvalidArgumentError, OperationFailedError
from insula.rpc.arrivals import Reply, StreamAbort, StreamData, StreamEof, StreamFinish
from insula.rpc.codes.nativecodes import ExecFlags
from insula.rpc.procedures import Insula
from tests.unit.daemon.clientend import DOM, connected, until


def test_a_request_with_everything() -> None:
    wanted = _exec_request(
        '{"argv": ["sh", "-c", "ls"], "env": {"A": "1"}, "cwd": "/srv", "user": "www", "group": "33",'
        ' "tty": true, "rows": 10, "columns": 20, "capabilities": ["net_admin"]}'
    )
    process = wanted.process
    assert (process.argv, process.env, process.cwd) == (("sh", "-c", "ls"), (("A", "1"),), "/srv")
    assert (process.user, process.group) == ("www", "33")
    assert (wanted.terminal, wanted.capabilities) == ((10, 20), frozenset({"net_admin"}))


def test_a_request_with_only_a_program() -> None:
    wanted = _exec_request('{"argv": ["ls"]}')
    assert (wanted.process.env, wanted.process.cwd, wanted.process.user) == ((), None, None)
    assert wanted.terminal is None and wanted.capabilities is None


def test_a_terminal_has_a_usual_size_unless_told() -> None:
    assert _exec_request('{"argv": ["ls"], "tty": true}').terminal == (24, 80)


@pytest.mark.parametrize("capabilities", ['"all"', "[1]", "{}"])
def test_capabilities_are_a_list_of_names(capabilities: str) -> None:
    with pytest.raises(InvalidArgumentError, match="capabilities"):
        _exec_request(f'{{"argv": ["ls"], "capabilities": {capabilities}}}')


# Over a session


@pytest.mark.asyncio
async def test_an_image_build_tells_of_its_progress_and_ends_well() -> None:
    async with connected() as both:
        serial = both.client.begin(Insula.IMAGE_BUILD, "b", "busybox", 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        both.images.gate.set()
        lines = b""
        while lines.count(b"\n") < 2:
            lines += (await both.client.until(lambda each: isinstance(each, StreamData))).data
        assert [json.loads(each)["phase"] for each in lines.splitlines()] == ["fetch", "done"]
        await both.client.until(lambda each: isinstance(each, StreamEof))
        both.client.connection.finish(reply.stream)
        both.client.send()
        await both.client.until(lambda each: isinstance(each, StreamFinish))


@pytest.mark.asyncio
async def test_a_failed_image_build_ends_its_stream_with_the_error() -> None:
    async with connected() as both:
        both.images.error = OperationFailedError("the mirror is down")
        both.client.begin(Insula.IMAGE_BUILD, "b", "busybox", 0)
        both.images.gate.set()
        abort = await both.client.until(lambda each: isinstance(each, StreamAbort))
        assert "the mirror is down" in str(abort.error)


@pytest.mark.parametrize("how", ["finish", "abort", "hang up"])
@pytest.mark.asyncio
async def test_leaving_a_build_ends_it(how: str) -> None:
    async with connected() as both:
        serial = both.client.begin(Insula.IMAGE_BUILD, "b", "busybox", 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        await both.client.until(lambda each: isinstance(each, StreamData))
        match how:
            case "finish":
                both.client.connection.finish(reply.stream)
            case "abort":
                both.client.connection.abort(reply.stream)
            case _:
                both.client.socket.close()
        if how != "hang up":
            both.client.send()
            await both.client.until(lambda each: isinstance(each, StreamFinish))
        await until(lambda: both.images.cancelled)


@pytest.mark.asyncio
async def test_exec_passes_standard_streams_and_gives_back_a_handle() -> None:
    async with connected() as both:
        reader, writer = os.pipe()
        request = json.dumps({"argv": ["ls", "-l"], "env": {"A": "b"}, "cwd": "/tmp", "user": "root"})
        serial = both.client.begin(Insula.DOMAIN_EXEC, DOM, request, 0, fds=(0, writer, writer))
        os.close(writer)
        values = await both.client.answer(serial)
        assert values.pid == 4711
        assert (await both.client.call(Insula.EXEC_WAIT, values.exec)).status == 7 << 8
        await both.client.call(Insula.EXEC_SIGNAL, values.exec, 15)
        assert both.domains.calls[1:] == [("wait_executed", 7), ("signal_executed", 7, 15)]
        assert os.read(reader, 100) == b"output"
        assert os.read(reader, 100) == b"", "a copy of standard output was left open"
        os.close(reader)
        _, name, process, terminal, _ = both.domains.calls[0]
        assert (name, process.argv, process.env, process.cwd, process.user) == (
            "web", ("ls", "-l"), (("A", "b"),), "/tmp", "root",
        )  # fmt: skip
        assert terminal is None


@pytest.mark.asyncio
async def test_exec_with_a_terminal_gives_its_master_back() -> None:
    async with connected() as both:
        request = json.dumps({"argv": ["sh"], "tty": True, "rows": 50, "columns": 132})
        serial = both.client.begin(Insula.DOMAIN_EXEC, DOM, request, 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        await both.client.call(Insula.DOMAIN_EXEC, DOM, request, ExecFlags.DETACHED)
        assert [each is None for each in both.domains.owners] == [False, True]
        assert len(reply.fds) == 1 and os.readlink(f"/proc/self/fd/{reply.fds[0]}") == "/dev/ptmx"
        os.close(reply.fds[0])
        assert both.domains.calls[0][3] == (50, 132)


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        ("not json", "not JSON"),
        ("[]", "no JSON object"),
        ('{"argv": []}', "'argv'"),
        ('{"argv": "ls"}', "'argv'"),
        ('{"argv": ["", "-l"]}', "an empty text, which names no program"),
        ('{"argv": ["a\\u0000b"]}', "'argv'"),
        ('{"argv": ["ls"], "env": {"A": 1}}', "'env'"),
        ('{"argv": ["ls"], "user": 5}', "'user'"),
        ('{"argv": ["ls"], "tty": true, "rows": 0}', "'rows'"),
        ('{"argv": ["ls"]}', "0 file descriptors"),
    ],
)
@pytest.mark.asyncio
async def test_a_bad_exec_request_is_named(request_text: str, words: str) -> None:
    async with connected() as both:
        with pytest.raises(InsulaError, match=words) as caught:
            await both.client.call(Insula.DOMAIN_EXEC, DOM, request_text, 0)
        assert caught.value.code == ErrorCode.INVALID_ARG
        assert both.domains.calls == []


@pytest.mark.asyncio
async def test_the_daemon_tells_about_itself() -> None:
    async with connected() as both:
        assert json.loads((await both.client.call(Insula.DAEMON_INFO, 0)).info) == {"version": "test"}
