"""A host made of files: a `/` with the parts of /proc and /sys that the service reads, for tests."""

from pathlib import Path

CPUINFO = """\
processor\t: {number}
vendor_id\t: GenuineIntel
cpu family\t: 6
model name\t: Example 9000
cpu MHz\t\t: 2600.504
physical id\t: {socket}

"""


def write(root: Path, files: dict[str, str]) -> None:
    """Make the files, and the directories above them, below root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def two_node_host(root: Path) -> Path:
    """Two sockets, each a node with 2 cores of 2 threads; processor 7 is offline. Return root."""
    files = {
        "proc/meminfo": "MemTotal: 16000 kB\nMemFree: 9000 kB\nBuffers: 10 kB\nCached: 500 kB\n",
        "proc/stat": "cpu  10 20 30 400 5 6 7 0 0 0\ncpu0 1 2 3 40 0 0 0 0 0 0\nintr 1\n",
        "proc/cpuinfo": "".join(CPUINFO.format(number=number, socket=number // 4) for number in range(7)),
        "sys/devices/system/cpu/present": "0-7\n",
        "sys/devices/system/cpu/online": "0-6\n",
        "sys/devices/system/node/online": "0-1\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "3\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "2\n",
        "sys/kernel/mm/ksm/pages_to_scan": "100\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    }
    for node, (cpus, total, free) in enumerate((("0-3", 8192, 4096), ("4-7", 7808, 4904))):
        directory = f"sys/devices/system/node/node{node}"
        files[f"{directory}/cpulist"] = cpus + "\n"
        files[f"{directory}/meminfo"] = f"Node {node} MemTotal: {total} kB\nNode {node} MemFree: {free} kB\n"
        files[f"{directory}/distance"] = "10 21\n" if node == 0 else "21 10\n"
        files[f"{directory}/hugepages/hugepages-2048kB/nr_hugepages"] = "1\n"
        files[f"{directory}/hugepages/hugepages-2048kB/free_hugepages"] = "1\n"
    for number in range(8):
        topology = f"sys/devices/system/cpu/cpu{number}/topology"
        first = number - number % 2
        files[f"{topology}/physical_package_id"] = f"{number // 4}\n"
        files[f"{topology}/die_id"] = "0\n"
        files[f"{topology}/core_id"] = f"{number % 4 // 2}\n"
        files[f"{topology}/thread_siblings_list"] = f"{first}-{first + 1}\n"
    write(root, files)
    return root
