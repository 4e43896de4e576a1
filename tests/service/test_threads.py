"""Cores come from the affinity and the cgroup's quota, whichever is less; threads stay within them."""

from pathlib import Path

import pytest

from service.threads import plan, usable_cores


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _cores(tmp_path: Path, proc: str, affinity: int = 8) -> float:
    _write(tmp_path / "proc", proc)
    return usable_cores(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup", affinity=affinity)


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert _cores(tmp_path, "0::/\n", affinity=3) == 3.0


def test_a_cgroup_v2_quota_counts(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/cpu.max", "150000 100000\n")
    assert _cores(tmp_path, "0::/\n") == 1.5


def test_an_ancestors_quota_counts_too(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/kube/cpu.max", "200000 100000\n")
    _write(tmp_path / "cgroup/kube/pod/cpu.max", "max 100000\n")
    assert _cores(tmp_path, "0::/kube/pod\n") == 2.0


def test_a_cgroup_v1_quota_counts(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/cpu/box/cpu.cfs_quota_us", "50000\n")
    _write(tmp_path / "cgroup/cpu/box/cpu.cfs_period_us", "100000\n")
    assert _cores(tmp_path, "4:memory:/m\n3:cpu,cpuacct:/box\n") == 0.5


def test_a_path_of_the_host_that_is_not_visible_here_falls_back_to_the_root(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/cpu.max", "100000 100000\n")
    assert _cores(tmp_path, "0::/host/only/path\n") == 1.0


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        (0.5, 0, (1, 1, 1)),
        (2.0, 0, (2, 1, 2)),
        (2.0, 1, (1, 2, 2)),
        (16.0, 0, (4, 4, 16)),
        (2.0, 8, (8, 1, 2)),
        (7.9, 2, (2, 3, 7)),
    ],
)
def test_the_sum_of_threads_stays_within_the_cores(
    cores: float, workers: int, expected: tuple[int, int, int]
) -> None:
    assert plan(cores, workers) == expected
