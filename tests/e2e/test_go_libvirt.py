"""go-libvirt against a running daemon: a client whose bytes are its own, not those of libvirt's library."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml
from tests.golibvirt import built
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = [pytest.mark.requires("go-libvirt", "virsh", "overlay.idmapped"), pytest.mark.client("go-libvirt")]

SOURCE = """
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

func need(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func code(err error) uint32 {
	if failure, ok := err.(libvirt.Error); ok {
		return failure.Code
	}
	return 0
}

func main() {
	told := map[string]interface{}{}
	conn := libvirt.NewWithDialer(dialers.NewLocal(dialers.WithSocket(os.Args[1])))
	need(conn.ConnectToURI("lxc:///system"))
	events, err := conn.LifecycleEvents(context.Background())
	need(err)
	web, err := conn.DomainLookupByName("web")
	need(err)
	need(conn.DomainCreate(web))
	told["event"] = (<-events).Event
	state, _, err := conn.DomainGetState(web, 0)
	need(err)
	told["state"] = state
	stats, err := conn.ConnectGetAllDomainStats([]libvirt.Domain{web}, 0, 0)
	need(err)
	told["statistics"] = len(stats[0].Params) > 0
	need(conn.DomainDestroy(web))
	_, err = conn.DomainLookupByName("nobody")
	told["nobody"] = code(err)
	_, err = conn.QEMUDomainMonitorCommand(web, "{}", 0)
	told["monitor"] = code(err)
	need(conn.Disconnect())
	need(json.NewEncoder(os.Stdout).Encode(told))
}
"""


def test_a_program_in_go_connects_lists_starts_and_hears_events(
    insulad: Insulad, busybox_root: Path, tmp_path: Path
) -> None:
    insulad.define(domain_xml("web", busybox_root))
    program = built(SOURCE, tmp_path)
    result = subprocess.run(
        [program, insulad.socket], capture_output=True, text=True, check=False, timeout=patience(60)
    )
    assert result.returncode == 0, f"{result.stderr}\ninsulad's log:\n{insulad.log_text()}"
    assert json.loads(result.stdout) == {"event": 2, "state": 1, "statistics": True, "nobody": 42, "monitor": 3}
