"""Throughput is a share of the bare loop's; the loop and its graphs run here, on the CPU."""

import numpy as np
import pytest

from benchmarks.gpu_check.bare import BareSession, Subject, Way
from benchmarks.gpu_check.checks import throughput
from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.encoders import OUTPUT, SIZES, publish_encoder, texts
from benchmarks.graphs.mlp import publish_mlp
from models.runtimes.base import SessionOptions
from models.runtimes.graph import Graph


@pytest.mark.parametrize(
    ("served", "verdict"), [([95.0, 185.0], "passed"), ([80.0, 165.0], "failed")]
)
def test_throughput_is_a_share_of_the_bare_loops_round_by_round(
    served: list[float], verdict: str
) -> None:
    result = throughput.judge("m", served, [100.0, 200.0], Way(32, 2), "64 connections")
    assert result.verdict == verdict
    assert result.figure == pytest.approx(
        sum(s / a for s, a in zip(served, [100, 200], strict=True)) / 2
    )
    assert "batches of 32, 2 threads" in result.detail


def test_the_bare_session_is_asked_in_the_way_that_is_fastest(workplace: Workplace) -> None:
    publish_mlp(workplace.folder / "repository", workplace.folder / "staged")
    [made] = bundles_of(workplace.folder / "repository")
    bare = BareSession(Graph.of(made), SessionOptions())
    subject = Subject("mlp", 4, {"x": np.ones((1, 128), np.float32)}, "y")
    assert bare.run(subject.batch(3))["y"].shape == (3, 10)
    assert bare.rate(subject, Way(8, 2), 0.05) > 0


def test_a_random_encoder_reads_texts_of_any_length_and_minds_the_mask(
    workplace: Workplace,
) -> None:
    size = SIZES["tiny-encoder"]
    publish_encoder(workplace.folder / "repository", workplace.folder / "staged", size)
    [made] = bundles_of(workplace.folder / "repository")
    bare = BareSession(Graph.of(made), SessionOptions())
    short = texts(size, 2, 5)
    found = bare.run(short)[OUTPUT]
    assert found.shape == (2, size.width)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    padded = {name: np.pad(array, ((0, 0), (0, 4))) for name, array in short.items()}
    np.testing.assert_allclose(bare.run(padded)[OUTPUT], found, atol=1e-5)
