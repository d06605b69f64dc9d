"""References are tuples with names; typed parameters say their type."""

import pytest

from insula.model.numbers import ParameterType
from insula.rpc.notation import record
from insula.rpc.wiretypes import DomainRef, TypedParameter


def test_a_domain_that_does_not_run_has_the_id_minus_one() -> None:
    assert DomainRef("web", bytes(16)).id == -1


def test_what_comes_from_the_wire_is_a_named_reference() -> None:
    codec = record("snap:snap port:nport secret:secret params:P<>")
    sent = (("now", ("web", bytes(16), 3)), (("lan", bytes(16)), bytes(16)), (bytes(16), 1, "use"), [("a", 1, 5)])
    got = codec.unpack(codec.pack(sent))
    assert got.snap.dom.name == "web"
    assert got.port.net.name == "lan"
    assert got.secret.usage_id == "use"
    assert got.params[0].type is ParameterType.INT


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        (TypedParameter("a", ParameterType.INT, -1), ParameterType.INT),
        (TypedParameter("a", ParameterType.UINT, 1), ParameterType.UINT),
        (TypedParameter("a", ParameterType.LLONG, -(2**40)), ParameterType.LLONG),
        (TypedParameter("a", ParameterType.ULLONG, 2**63), ParameterType.ULLONG),
        (TypedParameter("a", ParameterType.DOUBLE, 0.5), ParameterType.DOUBLE),
        (TypedParameter("a", ParameterType.BOOLEAN, True), ParameterType.BOOLEAN),
        (TypedParameter("a", ParameterType.STRING, "b"), ParameterType.STRING),
    ],
)
def test_a_parameter_of_each_type_travels(parameter: TypedParameter, kind: ParameterType) -> None:
    assert parameter.type is kind
    codec = record("params:P<>")
    assert codec.unpack(codec.pack(([parameter],))).params == (parameter,)
