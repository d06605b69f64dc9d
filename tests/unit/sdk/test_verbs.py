"""Verbs: what each asks for, and what it makes of the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from insula.errors import InvalidArgumentError, OperationFailedError
from insula.model.domainstates import DomainState, RunningReason
from insula.model.numbers import ListDomains, MetadataType, ParameterType, XmlFlags
from insula.rpc.codes.eventcodes import DomainEventId
from insula.rpc.codes.nativecodes import ImageFlags, PlanFlags
from insula.rpc.codes.requestcodes import StartFlags, UndefineFlags
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef, TypedParameter
from insula.sdk import verbs
from insula.sdk.conversation import Answer, Conversation, Request, T
from insula.sdk.values import ExecRequest, NodeInfo, Outcome, Started, State, Statistics, Usage

WEB = DomainRef("web", bytes(range(16)), 7)


def told(conversation: Conversation[T], *values: Any, fds: tuple[int, ...] = ()) -> tuple[Request, T]:
    """The one request of a verb, and its outcome when answered with these values."""
    request = next(conversation)
    request.procedure.arguments.pack(request.arguments)  # they fit the wire
    codec = request.procedure.results
    made = codec.unpack(codec.pack(values))
    try:
        another = conversation.send(Answer(made, fds, None))
    except StopIteration as stop:
        return request, stop.value
    raise AssertionError(f"it also asks for {another}")


@pytest.mark.parametrize(
    ("conversation", "procedure", "arguments"),
    [
        (lambda: verbs.shutdown(WEB), Remote.DOMAIN_SHUTDOWN_FLAGS, (WEB, 0)),
        (lambda: verbs.reboot(WEB), Remote.DOMAIN_REBOOT, (WEB, 0)),
        (lambda: verbs.reset(WEB), Remote.DOMAIN_RESET, (WEB, 0)),
        (lambda: verbs.destroy(WEB), Remote.DOMAIN_DESTROY_FLAGS, (WEB, 0)),
        (lambda: verbs.suspend(WEB), Remote.DOMAIN_SUSPEND, (WEB,)),
        (lambda: verbs.resume(WEB), Remote.DOMAIN_RESUME, (WEB,)),
        (lambda: verbs.signal_init(WEB, 15), Remote.DOMAIN_SEND_PROCESS_SIGNAL, (WEB, 1, 15, 0)),
        (lambda: verbs.undefine(WEB, UndefineFlags.MANAGED_SAVE), Remote.DOMAIN_UNDEFINE_FLAGS, (WEB, 1)),
        (lambda: verbs.remove(WEB), Insula.DOMAIN_REMOVE, (WEB, 0)),
        (lambda: verbs.set_memory(WEB, 1024), Remote.DOMAIN_SET_MEMORY_FLAGS, (WEB, 1024, 0)),
        (lambda: verbs.attach(WEB, "<disk/>", 1), Remote.DOMAIN_ATTACH_DEVICE_FLAGS, (WEB, "<disk/>", 1)),
        (lambda: verbs.detach(WEB, "<disk/>"), Remote.DOMAIN_DETACH_DEVICE_FLAGS, (WEB, "<disk/>", 0)),
        (lambda: verbs.exec_signal(31, 15), Insula.EXEC_SIGNAL, (31, 15)),
        (lambda: verbs.resize_console(WEB, 24, 80), Insula.CONSOLE_RESIZE, (WEB, None, 24, 80)),
        (lambda: verbs.remove_image("old"), Insula.IMAGE_REMOVE, ("old", 0)),
        (lambda: verbs.remove_image("old", ImageFlags.CLONES), Insula.IMAGE_REMOVE, ("old", 1)),
        (lambda: verbs.deregister(5), Remote.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, (5,)),
    ],
)
def test_a_verb_without_an_answer_makes_one_call(
    conversation: Callable[[], Conversation[None]], procedure: Procedure, arguments: tuple[Any, ...]
) -> None:
    request, outcome = told(conversation())
    assert request == Request(procedure, arguments)
    assert outcome is None


@pytest.mark.parametrize(
    ("conversation", "arguments", "answer", "outcome"),
    [
        (lambda: verbs.domains(ListDomains.ACTIVE), (1, 1), ([WEB], 1), (WEB,)),
        (lambda: verbs.by_name("web"), ("web",), (WEB,), WEB),
        (lambda: verbs.by_id(7), (7,), (WEB,), WEB),
        (lambda: verbs.by_uuid(WEB.uuid), (WEB.uuid,), (WEB,), WEB),
        (lambda: verbs.by_uuid("00010203-0405-0607-0809-0a0b0c0d0e0f"), (WEB.uuid,), (WEB,), WEB),
        (lambda: verbs.define("<domain/>"), ("<domain/>", 0), (WEB,), WEB),
        (lambda: verbs.create("<domain/>", StartFlags.PAUSED), ("<domain/>", 1), (WEB,), WEB),
        (lambda: verbs.start(WEB), (WEB, 0), (WEB,), WEB),
        (lambda: verbs.state(WEB), (WEB, 0), (1, 1), State(DomainState.RUNNING, RunningReason.BOOTED)),
        (lambda: verbs.usage(WEB), (WEB,), (1, 9, 8, 2, 7), Usage(DomainState.RUNNING, 9, 8, 2, 7)),
        (lambda: verbs.xml(WEB, XmlFlags.INACTIVE), (WEB, 2), ("<domain/>",), "<domain/>"),
        (lambda: verbs.is_active(WEB), (WEB,), (1,), True),
        (lambda: verbs.is_persistent(WEB), (WEB,), (0,), False),
        (lambda: verbs.metadata(WEB, MetadataType.TITLE, None), (WEB, 1, None, 0), ("a title",), "a title"),
        (lambda: verbs.wait(WEB), (WEB, 0), ('{"reason": "crash", "status": 9}',), Outcome("crash", 9)),
        (lambda: verbs.wait(WEB), (WEB, 0), ('{"reason": "destroy"}',), Outcome("destroy", None)),
        (lambda: verbs.info(WEB), (WEB, 0), ('{"a": 1}',), {"a": 1}),
        (lambda: verbs.plan(WEB, PlanFlags.SYSCALLS), (WEB, 1), ('{"a": 1}',), {"a": 1}),
        (lambda: verbs.plan(WEB), (WEB, 0), ('{"a": 1}',), {"a": 1}),
        (lambda: verbs.plan_of("<domain/>"), ("<domain/>", 0), ('{"a": 1}',), {"a": 1}),
        (verbs.daemon_info, (0,), ('{"a": 1}',), {"a": 1}),
        (lambda: verbs.images(ImageFlags.CLONES), (1,), ("[]",), []),
        (verbs.images, (0,), ('[{"name": "x"}]',), [{"name": "x"}]),
        (lambda: verbs.exec_status(31), (31,), (256,), 256),
        (verbs.capabilities, (), ("<capabilities/>",), "<capabilities/>"),
        (verbs.hostname, (), ("host",), "host"),
        (
            verbs.node_info,
            (),
            (b"x86_64", 1, 2, 3, 4, 5, 6, 7),
            NodeInfo("x86_64", 1, 2, 3, 4, 5, 6, 7),
        ),
        (lambda: verbs.register(DomainEventId.REBOOT, None), (1, None), (5,), 5),
        (lambda: verbs.register(DomainEventId.LIFECYCLE, WEB), (0, WEB), (6,), 6),
        (verbs.watch_lifecycle, (0, None), (5,), 5),
        (lambda: verbs.watch_lifecycle(WEB), (0, WEB), (6,), 6),
    ],
)
def test_a_verb_asks_for_its_facts_and_returns_them_typed(
    conversation: Callable[[], Conversation[Any]], arguments: tuple[Any, ...], answer: tuple[Any, ...], outcome: object
) -> None:
    request, returned = told(conversation(), *answer)
    assert request.arguments == arguments
    assert returned == outcome
    assert type(returned) is type(outcome)


def test_statistics_come_by_libvirts_keys() -> None:
    parameters = [TypedParameter("cpu.time", ParameterType.ULLONG, 9)]
    request, statistics = told(verbs.statistics(2), [(WEB, parameters)])
    assert request.arguments == ((), 2, 0)
    assert statistics == [Statistics(WEB, {"cpu.time": 9})]


def test_a_program_is_run_with_our_descriptors() -> None:
    request, started = told(verbs.execute(WEB, ExecRequest(("ls",)), (0, 1, 2)), 31, 4711)
    assert (request.procedure, request.fds) == (Insula.DOMAIN_EXEC, (0, 1, 2))
    assert json.loads(request.arguments[1]) == {"argv": ["ls"]}
    assert started == Started(31, 4711, None)


def test_a_program_with_a_terminal_gets_no_descriptors_and_returns_one() -> None:
    request, started = told(verbs.execute(WEB, ExecRequest(("sh",), tty=True), (0, 1, 2)), 31, 4711, fds=(9,))
    assert request.fds == ()
    assert started == Started(31, 4711, 9)


@pytest.mark.parametrize(
    ("conversation", "arguments"),
    [
        (lambda: verbs.console(WEB, "console1", 1), (WEB, "console1", 1)),
        (lambda: verbs.log(WEB, "console", follow=True), (WEB, "console", 0, -1, 1)),
        (lambda: verbs.log(WEB, "console", follow=False), (WEB, "console", 0, -1, 0)),
        (lambda: verbs.log(WEB, "console", follow=True, lines=5), (WEB, "console", 0, 5, 1)),
        (lambda: verbs.log(WEB, "console", lines=0), (WEB, "console", 0, 0, 0)),
        (lambda: verbs.log(WEB, "console", since=1.5, timestamps=True), (WEB, "console", 1500, -1, 2)),
        (lambda: verbs.log(WEB, "console", since=0), (WEB, "console", 1, -1, 0)),
        (lambda: verbs.build_image("new", {"from": "debian"}), ("new", '{"from": "debian"}', 0)),
    ],
)
def test_a_verb_that_opens_a_stream_returns_the_answer_with_it(
    conversation: Callable[[], Conversation[Answer]], arguments: tuple[Any, ...]
) -> None:
    request, answer = told(conversation())
    assert request.procedure.stream is not None
    assert request.arguments == arguments
    assert isinstance(answer, Answer)


@pytest.mark.parametrize("uuid", ["web", "0001", b"short", "00010203-0405-0607-0809-0a0b0c0d0e0f00"])
def test_what_is_no_uuid_is_refused_without_asking(uuid: str | bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="no UUID"):
        next(verbs.by_uuid(uuid))


@pytest.mark.parametrize("conversation", [lambda: verbs.info(WEB), verbs.images])
def test_json_of_another_shape_is_an_error_of_the_daemons(conversation: Callable[[], Conversation[Any]]) -> None:
    with pytest.raises(OperationFailedError, match="the daemon sent no"):
        told(conversation(), "7")
