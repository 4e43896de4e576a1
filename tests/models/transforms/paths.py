"""A graph for diffusion whose estimate of the picture the test gives."""

from collections.abc import Callable

import numpy as np

from models.blocks import DiffusionPreprocessing
from models.transforms.diffusion import Denoising, shares

formulations = ("flow", "ddpm")
samplers = ("euler", "heun")

Estimate = Callable[[np.ndarray, float], np.ndarray]


class Graph:
    """Answers as a network would that estimates `picture` of (x, t); counts its runs."""

    def __init__(self, formulation: str, picture: Estimate) -> None:
        self.formulation, self._picture, self.runs = formulation, picture, 0

    def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
        self.runs += 1
        a, s = shares(self.formulation, t)
        picture = self._picture(x, t)
        noise = (x - np.float32(a) * picture) / np.float32(s)
        answer: np.ndarray = noise - picture if self.formulation == "flow" else noise
        return answer


def walk(
    graph: Graph,
    formulation: str,
    sampler: str,
    steps: int,
    shape: tuple[int, ...] = (1, 8, 8),
) -> Denoising:
    """The whole way, from noise of seed 5."""
    noise = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    block = DiffusionPreprocessing.model_validate({"formulation": formulation})
    way = Denoising(noise, block, steps, sampler)
    while not way.is_done:
        way.advance(graph(way.x, way.t))
    return way
