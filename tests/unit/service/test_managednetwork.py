"""One network: what describes it, what may be changed, and who is told."""

import pytest

from insula.errorcodes import ErrorDomain
from insula.errors import NetworkNotFoundError, OperationInvalidError
from insula.model.network import NetworkDefinition
from insula.model.networknumbers import NetworkEventKind
from insula.model.numbers import Affect
from insula.network.virtual.networkrecord import NetworkRecord
from insula.service.events import Event, Events, NetworkLifecycle
from insula.service.managednetwork import ManagedNetwork, meant
from insula.service.networkruns import NetworkRun
from insula.service.runrecord import RunPhase
from tests.unit.service.networksofrig import LAN, network


def managed(config: NetworkDefinition | None = None, live: NetworkDefinition | None = None) -> ManagedNetwork:
    made = ManagedNetwork(name="lan", uuid=LAN, config=config)
    if live is not None:
        record = NetworkRecord(name="lan", uuid=str(LAN))
        made.begin(NetworkRun(boot_id="now", phase=RunPhase.RUNNING, begun=0, network=live, record=record))
    return made


CONFIG, LIVE = network(), network(more="<ip address='10.3.0.1' prefix='24'/>")


def test_it_is_described_by_what_is_live_else_by_what_is_defined() -> None:
    both = managed(CONFIG, LIVE)
    assert both.current is LIVE
    both.end()
    assert both.current is CONFIG
    assert managed(live=LIVE).current is LIVE


def test_one_that_is_gone_is_described_by_what_it_was() -> None:
    transient, defined = managed(live=LIVE), managed(CONFIG)
    transient.end()
    defined.define(None)
    assert (transient.current, defined.current) == (LIVE, CONFIG)
    with pytest.raises(NetworkNotFoundError):
        assert managed().current


@pytest.mark.parametrize(
    ("of", "affect", "means"),
    [
        (managed(CONFIG, LIVE), Affect.CURRENT, Affect.LIVE),
        (managed(CONFIG), Affect.CURRENT, Affect.CONFIG),
        (managed(CONFIG, LIVE), Affect.LIVE | Affect.CONFIG, Affect.LIVE | Affect.CONFIG),
    ],
    ids=["active", "inactive", "both"],
)
def test_what_is_meant_follows_from_its_state(of: ManagedNetwork, affect: Affect, means: Affect) -> None:
    assert meant(of, affect) == means


@pytest.mark.parametrize(
    ("of", "affect", "text"),
    [
        (managed(CONFIG), Affect.LIVE, "network is not running"),
        (managed(live=LIVE), Affect.CONFIG, "cannot change persistent config of a transient network"),
    ],
    ids=["inactive", "transient"],
)
def test_what_it_has_not_cannot_be_meant(of: ManagedNetwork, affect: Affect, text: str) -> None:
    with pytest.raises(OperationInvalidError, match=text) as caught:
        meant(of, affect)
    assert caught.value.domain is ErrorDomain.NETWORK


def test_a_notice_is_told_once_and_forgotten_by_the_next_run() -> None:
    lan = managed(CONFIG)
    lan.notice("[Errno 5] odd")
    lan.notice("odd")
    assert lan.notices == ("odd",)
    lan.begin(managed(live=LIVE).require_run())
    assert len(lan.notices) == 0
    with pytest.raises(OperationInvalidError, match="network 'lan' is not active"):
        managed(CONFIG).require_run()


def test_what_happens_is_published() -> None:
    told: list[Event] = []
    events = Events()
    events.subscribe(told.append)
    lan = ManagedNetwork(name="lan", uuid=LAN, config=CONFIG, events=events)
    lan.tell(NetworkEventKind.STARTED)
    assert told == [NetworkLifecycle(network=lan.ref, kind=NetworkEventKind.STARTED)]
