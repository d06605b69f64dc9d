"""Typed parameters are checked by name and type."""

import pytest

from insula.errors import ArgumentUnsupportedError, InvalidArgumentError
from insula.model.numbers import ParameterType
from insula.service.parameters import Parameter, checked

TABLE = {"cpu_shares": ParameterType.ULLONG, "vcpu_quota": ParameterType.LLONG}


def test_known_parameters_come_back_by_name() -> None:
    parameters = [
        Parameter("cpu_shares", ParameterType.ULLONG, 512),
        Parameter("vcpu_quota", ParameterType.LLONG, -1),
    ]
    assert checked(parameters, TABLE) == {"cpu_shares": 512, "vcpu_quota": -1}


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ([Parameter("colour", ParameterType.STRING, "red")], ArgumentUnsupportedError, "'colour' not supported"),
        (
            [Parameter("cpu_shares", ParameterType.STRING, "512")],
            InvalidArgumentError,
            "invalid type 'string' for parameter 'cpu_shares', expected 'ullong'",
        ),
        ([Parameter("cpu_shares", ParameterType.ULLONG, 1)] * 2, InvalidArgumentError, "occurs multiple times"),
    ],
)
def test_an_unknown_mistyped_or_doubled_parameter_is_refused(
    parameters: list[Parameter], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        checked(parameters, TABLE)
