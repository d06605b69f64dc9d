"""Every query of the dashboard finds something in a real Prometheus that reads a real insulad with a guest."""

import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import sideload
from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.waiting import patience, until

DASHBOARD = json.loads(Path("share/insula/grafana-dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
VARIABLES = [each["definition"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
METRICS, PROMETHEUS = "127.0.0.1:9177", "127.0.0.1:9090"
MAC = "52:54:00:12:34:56"


def meant(query: str) -> str:
    """A query as Grafana sends it with everything chosen."""
    replaced = query.replace("$__rate_interval", "1m")
    return re.sub(r"\$(instance|domain)\b", ".*", replaced)


def asked(insulad: Insulad, path: str, **fields: str) -> Any:
    """What Prometheus answers; None as long as it does not."""
    url = f"http://{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
    script = f"import sys, urllib.request as u; sys.stdout.write(u.urlopen({url!r}, timeout=30).read().decode())"
    result = insulad.host.run("/usr/bin/python3", "-c", script, check=False)
    return json.loads(result.stdout)["data"] if result.returncode == 0 else None


@pytest.fixture
def prometheus(insulad: Insulad, busybox_root: Path, scratch: Path) -> Iterator[Insulad]:
    """A daemon with a guest that has everything, read once a second."""
    insulad.stop()
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text(f"[metrics]\naddress = '{METRICS}'\n")
    insulad.start()
    (scratch / "disk").write_bytes(bytes(1 << 20))
    devices = (
        f"<disk type='file' device='disk'><source file='{scratch / 'disk'}'/><target dev='vda'/></disk>"
        f"<interface type='bridge'><source bridge='lan'/><mac address='{MAC}'/></interface>"
    )
    insulad.host.run("ip", "link", "add", "lan", "type", "bridge")
    insulad.define(domain_xml("web", busybox_root, extra=devices))
    insulad.virsh("start", "web")
    scrapes = {"job_name": "insula", "scrape_interval": "1s", "static_configs": [{"targets": [METRICS]}]}
    (scratch / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrapes]}))
    with (scratch / "prometheus.log").open("wb") as log:
        process = insulad.host.start(
            str(sideload.found("prometheus")), f"--config.file={scratch / 'prometheus.yml'}",
            f"--storage.tsdb.path={scratch / 'data'}", f"--web.listen-address={PROMETHEUS}",
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    yield insulad
    process.terminate()
    process.wait(timeout=patience(30))
    insulad.virsh("destroy", "web")
    insulad.host.run("ip", "link", "del", "lan")


@pytest.mark.requires("virsh", "overlay.idmapped", "userns", "prometheus")
def test_every_query_finds_something(prometheus: Insulad) -> None:
    accounted = bool(list(Path("/sys/fs/cgroup").glob("**/machine-lxc*.scope/cpu.pressure")))

    def found(query: str) -> bool:
        return bool((asked(prometheus, "query", query=meant(query)) or {}).get("result"))

    for query in QUERIES:
        if accounted or "pressure" not in query:
            until(partial(found, query), query, 120)
    for variable in VARIABLES:
        series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable).groups()  # type: ignore[union-attr]
        values = asked(prometheus, f"label/{label}/values", **{"match[]": meant(series)})
        assert values == ({"domain": ["web"], "instance": [METRICS]}[label])
    # A reading that a busy host is late with is one that failed.
    until(partial(found, "up == 1"), "a daemon that is up", 60)


def test_panels_lie_beside_one_another_and_every_one_asks_for_something() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert own.isdisjoint(places) and at["x"] + at["w"] <= 24, panel["title"]
        places |= own
        assert panel["targets"] and all("insula_" in each["expr"] for each in panel["targets"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_metric_that_is_asked_for_is_told() -> None:
    text = Path("docs/reference/statistics.md").read_text()
    for query in (*QUERIES, *VARIABLES):
        for name in re.findall(r"insula_\w+", query):
            assert f"`{name}`" in text, name
