"""A plan beside a bundle, found by a server that was told nothing: choice, batches, lengths and workers."""

from pathlib import Path

import pytest

from models.bundle import Bundle
from models.runtimes.hardware import fingerprint
from service.selection.choice import Choice
from service.tuning.plan import plan_file, write_plan
from tests.service import graphs
from tests.service.conftest import StartServer
from tests.service.tuning.test_plan import plan_of


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return graphs.gather().publish(tmp_path / "repository", "gather", tmp_path)


def test_a_server_obeys_the_plan(bundle: Bundle, start_server: StartServer) -> None:
    plan = plan_of(
        bundle,
        hardware=fingerprint(),
        choice=Choice(),
        workers=1,
        threads=1,
        max_batch_size=3,
        max_queue_delay_microseconds=2000,
        length_buckets=(),
    )
    write_plan(bundle, plan)
    with start_server("--repository", str(bundle.path.parent.parent)) as server:
        with server.client() as client:
            config = client.get("/v2/models/gather/config").json()
        assert "1 workers of 1 threads" in server.errors
    assert config["max_batch_size"] == 3
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 2000
    assert config["parameters"]["selection"]["string_value"] == "tuned on 2026-01-01 for p99_ms=50"


def test_a_damaged_plan_is_warned_of_once_and_the_model_served_all_the_same(
    bundle: Bundle, start_server: StartServer
) -> None:
    write_plan(bundle, plan_of(bundle, hardware=fingerprint()))
    plan_file(bundle).write_text("{ half")
    with (
        start_server("--repository", str(bundle.path.parent.parent)) as server,
        server.client() as client,
    ):
        assert client.get("/v2/models/gather/ready").status_code == 200
        assert server.errors.count("tuning-1.json is ignored") == 1
