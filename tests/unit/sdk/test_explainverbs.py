"""What holds a guest, and what was refused to a program, as both faces ask for it."""

from insula.rpc.procedures import Insula
from insula.sdk.explainverbs import confinement, examine, explanation
from tests.unit.cli.fake_client import WEB, FakeClient


def test_what_holds_a_guest_is_one_object() -> None:
    client = FakeClient({Insula.DOMAIN_CONFINEMENT: '{"domain": "web", "held_by": []}'})
    assert client.run(confinement(WEB)) == {"domain": "web", "held_by": []}
    assert client.made(Insula.DOMAIN_CONFINEMENT) == [(WEB, 0)]


def test_an_explanation_is_asked_by_the_programs_handle() -> None:
    client = FakeClient({Insula.EXEC_EXPLANATION: '{"refusals": []}'})
    assert client.run(explanation(7)) == {"refusals": []}
    assert client.made(Insula.EXEC_EXPLANATION) == [(7,)]


def test_what_the_host_lacks_is_one_object() -> None:
    client = FakeClient({Insula.HOST_EXAMINE: '{"daemon": true, "checks": []}'})
    assert client.run(examine()) == {"daemon": True, "checks": []}
