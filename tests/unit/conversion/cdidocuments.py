"""Descriptions of devices, in the shapes that vendors' own programs write."""

from typing import Any


def minimal() -> dict[str, Any]:
    return {"cdiVersion": "0.3.0", "kind": "v.com/x", "devices": [{"name": "0", "containerEdits": {}}]}


_LIBRARY = "/usr/lib/libv.so.1"
GRAPHICS: dict[str, Any] = {
    "cdiVersion": "0.5.0",
    "kind": "vendor.com/gpu",
    "devices": [
        {
            "name": name,
            "containerEdits": {
                "deviceNodes": [
                    {"path": "/dev/vendor0", "type": "c", "major": 195, "minor": 0, "fileMode": 438},
                    {"path": "/dev/dri/card1", "permissions": "rw"},
                ]
            },
        }
        for name in ("0", "all")
    ],
    "containerEdits": {
        "env": ["VENDOR_VISIBLE_DEVICES=void"],
        "deviceNodes": [{"path": "/dev/vendorctl", "hostPath": "/dev/vendorctl"}],
        "hooks": [
            {
                "hookName": "createContainer",
                "path": "/usr/bin/nvidia-cdi-hook",
                "args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib"],
            }
        ],
        "mounts": [
            {"hostPath": _LIBRARY, "containerPath": _LIBRARY, "options": ["ro", "nosuid", "nodev", "bind"]},
        ],
    },
}
"""Numbered nodes, control nodes that all share, libraries of the host, and a hook of the vendor's toolkit."""

GRAPHICS_YAML = """---
cdiVersion: 0.5.0
kind: vendor.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - {path: /dev/vendor0, type: c, major: 195, minor: 0, fileMode: 438}
    - path: /dev/dri/card1
      permissions: rw
- name: all
  containerEdits:
    deviceNodes:
    - {path: /dev/vendor0, type: c, major: 195, minor: 0, fileMode: 438}
    - path: /dev/dri/card1
      permissions: rw
containerEdits:
  env:
  - VENDOR_VISIBLE_DEVICES=void
  deviceNodes:
  - path: /dev/vendorctl
    hostPath: /dev/vendorctl
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args:
    - nvidia-cdi-hook
    - update-ldcache
    - --folder
    - /usr/lib
  mounts:
  - hostPath: /usr/lib/libv.so.1
    containerPath: /usr/lib/libv.so.1
    options: [ro, nosuid, nodev, bind]
"""

ACCELERATORS: dict[str, Any] = {
    "cdiVersion": "0.7.0",
    "kind": "cpu-vendor.com/npu",
    "annotations": {"cpu-vendor.com/driver": "1.2"},
    "devices": [
        {
            "name": "0000-00-0b-0",
            "annotations": {"pci": "0000:00:0b.0"},
            "containerEdits": {
                "deviceNodes": [
                    {
                        "path": "/dev/accel0",
                        "hostPath": "/dev/accel/accel0",
                        "uid": 0,
                        "gid": 44,
                        "permissions": "wr",
                    }
                ],
                "additionalGids": [44, 109],
            },
        }
    ],
}
"""Another path inside, owners, groups and annotations."""

NETWORK_CARDS: dict[str, Any] = {
    "cdiVersion": "1.1.0",
    "kind": "nic.example/rdma",
    "devices": [
        {
            "name": "mlx5_0",
            "containerEdits": {
                "deviceNodes": [{"path": "/dev/infiniband/uverbs0"}],
                "netDevices": [{"hostInterfaceName": "eth7", "name": "rdma0"}],
                "intelRdt": {"closID": "guests", "l3CacheSchema": "L3:0=f"},
            },
        }
    ],
}
"""What a runtime cannot do silently without."""
