"""The way from noise to picture, along graphs whose answer is known."""

import numpy as np
import pytest

from models.blocks import DiffusionPreprocessing
from models.transforms.diffusion import Denoising, runs_of, shares
from tests.models.transforms.paths import Graph, formulations, samplers, walk


@pytest.mark.parametrize("formulation", formulations)
@pytest.mark.parametrize("sampler", samplers)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_graph_that_knows_the_picture_leads_to_it(
    formulation: str, sampler: str, steps: int
) -> None:
    picture = np.tanh(np.random.default_rng(0).standard_normal((1, 8, 8))).astype(np.float32)
    graph = Graph(formulation, lambda x, t: picture)
    way = walk(graph, formulation, sampler, steps)
    assert np.abs(way.x - picture).max() < 1e-5
    assert graph.runs == runs_of(sampler, steps)
    assert way.x.dtype == np.float32


@pytest.mark.parametrize("formulation", formulations)
def test_smaller_steps_come_nearer_and_heun_comes_nearer_than_euler(formulation: str) -> None:
    # Pixels that are normal with deviation 1/4: the best estimate of the picture is a share of x,
    # and the exact way multiplies x by a number that is known.
    def best(x: np.ndarray, t: float) -> np.ndarray:
        a, s = shares(formulation, t)
        variance = 0.25**2
        return x * np.float32(a * variance / (a * a * variance + s * s))

    def off(sampler: str, steps: int) -> float:
        way = walk(Graph(formulation, best), formulation, sampler, steps, shape=(1, 4, 4))
        a, s = shares(formulation, 1.0)
        first = np.random.default_rng(5).standard_normal((1, 4, 4)).astype(np.float32)
        exact = first * 0.25 / np.sqrt(a * a * 0.25**2 + s * s)
        return float(np.abs(way.x - exact).max())

    euler, heun = ([off(sampler, steps) for steps in (20, 40, 80)] for sampler in samplers)
    for order, errors in ((1, euler), (2, heun)):
        # Twice the steps: half the error of a method of first order, a quarter of one of second.
        assert errors[1] / errors[0] == pytest.approx(0.5**order, rel=0.15)
        assert errors[2] / errors[1] == pytest.approx(0.5**order, rel=0.15)
    assert heun[0] < euler[0] / 3


def test_estimates_stay_within_what_pictures_can_be() -> None:
    way = walk(Graph("flow", lambda x, t: np.full_like(x, 40.0)), "flow", "euler", 4)
    assert np.abs(way.x).max() <= 1 + 1e-6
    assert np.abs(way.preview).max() <= 1


def test_a_batch_walks_as_its_pictures_would_alone() -> None:
    block = DiffusionPreprocessing(formulation="flow")
    noise = np.random.default_rng(1).standard_normal((3, 1, 4, 4)).astype(np.float32)
    together = Denoising(noise, block, 5, "heun")
    alone = [Denoising(row, block, 5, "heun") for row in noise]
    while not together.is_done:
        answer = np.tanh(together.x) * np.float32(1 + together.t)
        for way in alone:
            way.advance(np.tanh(way.x) * np.float32(1 + way.t))
        together.advance(answer)
    assert np.array_equal(together.x, np.stack([way.x for way in alone]))
