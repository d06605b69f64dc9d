"""What of the host's devices can be given, for administrators to see."""

import json
from pathlib import Path
from typing import Any

import pytest

from insula.engine.policy.deviceclasses import DEVICE_CLASSES
from insula.service.cdidirectories import CdiDirectories
from insula.service.deviceoffers import DeviceOffers
from insula.service.grantednodes import DeviceGrants

pytestmark = pytest.mark.asyncio


async def test_every_class_is_told_and_each_described_device_with_why_it_cannot_be_had(tmp_path: Path) -> None:
    hook = {"hookName": "prestart", "path": "/opt/setup"}
    devices: list[dict[str, Any]] = [
        {"name": "good", "containerEdits": {"deviceNodes": [{"path": "/dev/null"}]}},
        {"name": "hooked", "containerEdits": {"deviceNodes": [{"path": "/dev/null"}], "hooks": [hook]}},
    ]
    cdi = tmp_path / "cdi"
    cdi.mkdir()
    (cdi / "v.json").write_text(json.dumps({"cdiVersion": "0.6.0", "kind": "v.com/x", "devices": devices}))
    (cdi / "broken.json").write_text("{")
    grants = DeviceGrants(CdiDirectories((cdi,)), tmp_path / "dev", tmp_path / "tty")
    told = await DeviceOffers(grants).offers()
    assert [each["name"] for each in told if each["kind"] == "class"] == list(DEVICE_CLASSES)
    assert {each["problem"] for each in told if each["kind"] == "class"} == {"the host has none"}
    good, hooked = (each for each in told if each["kind"] == "cdi")
    assert good == {"kind": "cdi", "name": "v.com/x=good", "nodes": ["null"], "remarks": [], "problem": None}
    assert "give the grant hooks='skip'" in hooked["problem"]
    (broken,) = (each for each in told if each["kind"] == "file")
    assert broken["name"] == f"{cdi}/broken.json" and "no JSON" in broken["problem"]
