"""What the kernel says of a process is what other tools read."""

import os
import subprocess
import sys

import psutil
import pytest

from service.observability.process_info import read_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_process_is_described_as_psutil_does() -> None:
    info, other = read_process(os.getpid()), psutil.Process()
    assert info is not None
    assert info.cpu_s == pytest.approx(sum(other.cpu_times()[:2]), abs=0.2)
    assert info.rss_bytes == pytest.approx(other.memory_info().rss, rel=0.1)
    assert info.started_s == pytest.approx(other.create_time(), abs=2)
    assert info.open_fds >= 3


def test_a_process_that_has_gone_is_not_described() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert read_process(process.pid) is None
