"""Errors on the wire: ours as libvirt's clients want them, theirs as our exceptions, word for word."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula import errors
from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import (
    DomainNotFoundError,
    InsulaError,
    InvalidArgumentError,
    NoSupportError,
    RpcError,
    StepError,
)
from insula.rpc.error_record import ErrorRecord, PeerError, error_of, record_of, unpack_error
from insula.rpc.frames import Status
from tests.unit.rpc.goldenframes import recorded
from tests.unit.rpc.wirevalues import TEXT

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, InsulaError) and each is not StepError
]
SHARED = {ErrorCode.OPERATION_FAILED, ErrorCode.RPC}
"""Codes that several classes have: a peer cannot tell which it was."""


def test_a_missing_domain_is_told_as_libvirt_does() -> None:
    assert record_of(DomainNotFoundError("no domain with matching name 'web'")) == ErrorRecord(
        code=42,
        domain=17,
        message="Domain not found: no domain with matching name 'web'",
        level=2,
        str1="Domain not found: %s",
        str2="no domain with matching name 'web'",
    )


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_with_class_text_message_and_domain(kind: type[InsulaError]) -> None:
    sent = kind("no such thing")
    got = error_of(unpack_error(record_of(sent).pack()))
    assert (got.code, got.domain, got.message, str(got)) == (sent.code, sent.domain, sent.message, str(sent))
    assert type(got) is kind or kind.code in SHARED


@given(text=TEXT)
def test_no_text_doubles_or_loses_its_prefix(text: str) -> None:
    sent = DomainNotFoundError(text)
    got = error_of(record_of(sent))
    assert (got.message, str(got)) == (f"Domain not found: {text}", text)
    assert record_of(got) == record_of(sent)


@pytest.mark.parametrize("message", ["Domain is missing", "", "Domain not found"])
def test_a_message_phrased_otherwise_is_kept_word_for_word(message: str) -> None:
    got = error_of(ErrorRecord(code=ErrorCode.NO_DOMAIN, domain=ErrorDomain.LXC, message=message))
    assert isinstance(got, DomainNotFoundError)
    assert got.message == (message or "unknown error")


def test_a_message_phrased_otherwise_leaves_the_class_as_it_was() -> None:
    error_of(ErrorRecord(code=ErrorCode.NO_DOMAIN, domain=ErrorDomain.LXC, message="otherwise"))
    assert DomainNotFoundError("x").message == "Domain not found: x"


def test_a_number_without_a_class_keeps_its_record() -> None:
    record = ErrorRecord(code=95, domain=10, message="internal: migration", str3="x", int1=-1, int2=7)
    got = error_of(record)
    assert isinstance(got, PeerError)
    assert (got.message, got.record) == ("internal: migration", record)
    assert record_of(got) == record


def test_a_domain_number_that_we_do_not_know_is_none() -> None:
    assert error_of(ErrorRecord(code=42, domain=4711, message=None)).domain is ErrorDomain.NONE


@pytest.mark.parametrize("domain", [ErrorDomain.RPC, ErrorDomain.REMOTE])
def test_an_unknown_procedure_means_no_support_as_for_libvirts_clients(domain: ErrorDomain) -> None:
    got = error_of(ErrorRecord(code=ErrorCode.RPC, domain=domain, message="unknown procedure: 456"))
    assert isinstance(got, NoSupportError)
    assert got.message == "unknown procedure: 456"


def test_the_errors_that_libvirtd_sent_are_read_and_written_byte_by_byte() -> None:
    bodies = [packet.frame.body for packet in recorded() if packet.frame.status == Status.ERROR and packet.frame.body]
    assert len(bodies) > 20
    assert [body for body in bodies if unpack_error(body).pack() != body] == []
    assert all(error_of(unpack_error(body)).message == unpack_error(body).message for body in bodies)


@given(junk=st.binary(max_size=80))
def test_junk_is_an_rpc_error_or_a_record(junk: bytes) -> None:
    try:
        record = unpack_error(junk)
    except RpcError:
        return
    assert error_of(record).message


@pytest.mark.parametrize("step", ["execute /sbin/init", ""])
def test_a_failed_step_keeps_the_kernels_number_with_and_without_a_name(step: str) -> None:
    got = error_of(record_of(StepError("no such program", step=step, errno=2)))
    assert isinstance(got, StepError) and (got.step, got.errno) == (step, 2)


def test_an_error_that_quotes_a_lot_or_strange_things_can_be_sent() -> None:
    sent = record_of(InvalidArgumentError("'" + "x" * (8 * 1024 * 1024) + "\0\ud800' is wrong"))
    read = unpack_error(sent.pack())
    assert read.message is not None and len(read.message) < 5000
    assert read.message.startswith("invalid argument: 'xxx") and read.message.endswith("x\\0\\ud800' is wrong")
