"""Records of networks."""

import json

from insula.kernel.processidentity import ProcessIdentity
from insula.network.virtual.networkrecord import NetworkRecord

ANNOUNCED = NetworkRecord(
    name="default",
    uuid="c0ffee00-0000-4000-8000-000000000001",
    bridge="virbr0",
    made=True,
    mac="52:54:00:00:00:01",
    serves=True,
)


def test_a_record_survives_json_announced_or_made() -> None:
    for record in (
        ANNOUNCED,
        NetworkRecord(name="lan", uuid=ANNOUNCED.uuid, bridge="br0"),
        NetworkRecord(
            name="n", uuid=ANNOUNCED.uuid, index=7, rules=True, dnsmasq=ProcessIdentity(pid=12, started=3456)
        ),
    ):
        assert NetworkRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
