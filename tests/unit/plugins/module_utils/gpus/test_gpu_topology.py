"""How GPUs reach each other, as nvidia-smi draws it."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import topology
from recorded_gpus import DATA, H100, facts, report


def test_a_table_with_escapes_and_uneven_tabs() -> None:
    paths = topology.matrix((DATA / "topo-six.txt").read_text())
    assert len(paths) == 15
    assert [paths[pair] for pair in ("0-1", "0-2", "1-4", "4-5")] == ["PIX", "NODE", "SYS", "PIX"]


def test_network_cards_are_left_out() -> None:
    paths = topology.matrix((DATA / "topo-nics.txt").read_text())
    assert paths == {"0-1": "NODE", "0-2": "SYS", "0-3": "SYS", "1-2": "SYS", "1-3": "SYS", "2-3": "NODE"}


def test_one_gpu_reaches_nobody() -> None:
    assert topology.matrix("\tGPU0\tNIC0\tCPU Affinity\nGPU0\t X \tPHB\t0-251\nNIC0\tPHB\t X \n") == {}


def test_nvlinks() -> None:
    assert topology.links((DATA / "nvlink-h100.txt").read_text()) == {0: (18, 0), 1: (18, 0)}
    assert topology.links(
        "GPU 0: A (UUID: GPU-1)\n\t Link 0: <inactive>\n\t Link 1: 25 GB/s\nGPU 1: B (UUID: GPU-2)\n"
    ) == {0: (1, 1)}


def test_links_and_paths_are_in_the_facts() -> None:
    topo = "\t\x1b[4mGPU0\tGPU1\tCPU Affinity\x1b[0m\nGPU0\t X \tNV18\t0-55\nGPU1\tNV18\t X \t0-55\n"
    csv = "0, 00000000:18:00.0, 9.0\n1, 00000000:2A:00.0, 9.0\n"
    read = facts(report(H100), csv, topo=topo, nvlink=(DATA / "nvlink-h100.txt").read_text())
    assert read.topology == {"0-1": "NV18"}
    assert [(gpu.links, gpu.links_down) for gpu in read.gpus] == [(18, 0), (18, 0)]
