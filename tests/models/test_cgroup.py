"""Cores come from the affinity and the cgroup's quota, whichever is less; memory from the tightest limit."""

from pathlib import Path

from models.cgroup import core_quota, memory_limit_bytes, memory_room_bytes, usable_cores


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _cores(tmp_path: Path, proc: str, affinity: int = 8) -> float:
    _write(tmp_path / "proc", proc)
    return usable_cores(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup", affinity=affinity)


def _memory(tmp_path: Path, proc: str) -> int | None:
    _write(tmp_path / "proc", proc)
    return memory_limit_bytes(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")


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


def test_without_a_quota_there_is_none_to_tell(tmp_path: Path) -> None:
    assert core_quota(proc=tmp_path / "absent", cgroup=tmp_path / "cgroup") is None


def test_the_tightest_cgroup_v2_memory_limit_counts(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/kube/memory.max", "1048576\n")
    _write(tmp_path / "cgroup/kube/pod/memory.max", "2097152\n")
    assert _memory(tmp_path, "0::/kube/pod\n") == 1 << 20


def test_a_cgroup_v1_memory_limit_counts(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/memory/box/memory.limit_in_bytes", "4194304\n")
    assert _memory(tmp_path, "4:memory:/box\n3:cpu,cpuacct:/other\n") == 4 << 20


def test_no_memory_limit_is_none_in_both_versions(tmp_path: Path) -> None:
    _write(tmp_path / "cgroup/memory.max", "max\n")
    assert _memory(tmp_path, "0::/\n") is None
    _write(tmp_path / "cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert _memory(tmp_path, "4:memory:/\n") is None


def _room(tmp_path: Path, proc: str) -> int | None:
    _write(tmp_path / "proc", proc)
    return memory_room_bytes(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")


def test_room_is_the_limit_less_what_cannot_be_dropped_in_cgroup_v2(tmp_path: Path) -> None:
    own = tmp_path / "cgroup/kube/pod"
    _write(own / "memory.max", "1000000\n")
    _write(own / "memory.current", "900000\n")
    _write(own / "memory.stat", "anon 500000\ninactive_file 300000\nactive_file 100000\n")
    assert _room(tmp_path, "0::/kube/pod\n") == 400_000


def test_room_is_the_limit_less_what_cannot_be_dropped_in_cgroup_v1(tmp_path: Path) -> None:
    own = tmp_path / "cgroup/memory/box"
    _write(own / "memory.limit_in_bytes", "1000000\n")
    _write(own / "memory.usage_in_bytes", "900000\n")
    _write(own / "memory.stat", "inactive_file 1\ntotal_inactive_file 300000\n")
    assert _room(tmp_path, "4:memory:/box\n") == 400_000


def test_the_fullest_cgroup_above_us_leaves_the_least_room(tmp_path: Path) -> None:
    for group, limit, used in (("kube", 5_000, 4_900), ("kube/pod", 1_000, 300)):
        _write(tmp_path / "cgroup" / group / "memory.max", f"{limit}\n")
        _write(tmp_path / "cgroup" / group / "memory.current", f"{used}\n")
    assert _room(tmp_path, "0::/kube/pod\n") == 100


def test_a_cgroup_over_its_limit_leaves_no_room_and_one_without_any_says_nothing(
    tmp_path: Path,
) -> None:
    assert _room(tmp_path, "0::/\n") is None
    _write(tmp_path / "cgroup/memory.max", "1000\n")
    _write(tmp_path / "cgroup/memory.current", "2000\n")
    assert _room(tmp_path, "0::/\n") == 0
