import json

import pytest

from insula.errors import OperationFailedError
from insula.sdk import conversionverbs
from insula.sdk.conversionverbs import Converted
from tests.unit.sdk.test_verbs import told


def test_a_document_goes_with_the_files_that_it_names() -> None:
    asked = conversionverbs.read_config("lxc-tools", "a", path="/a", name="web", others={"/b": "c"})
    request, found = told(asked, '{"xml": "<domain/>", "findings": []}')
    assert request.arguments[0] == "lxc-tools" and request.arguments[2] == 0
    assert json.loads(request.arguments[1]) == {"text": "a", "path": "/a", "name": "web", "others": {"/b": "c"}}
    assert found == Converted("<domain/>", [])


def test_a_definition_is_written() -> None:
    request, found = told(
        conversionverbs.write_config("oci", "<domain/>"), '{"text": "{}", "findings": [{"key": "a"}]}'
    )
    assert request.arguments == ("oci", "<domain/>", 0)
    assert found == Converted("{}", [{"key": "a"}])


def test_another_answer_is_refused() -> None:
    with pytest.raises(OperationFailedError):
        told(conversionverbs.write_config("oci", "<domain/>"), '{"text": 1}')
