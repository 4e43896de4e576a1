"""Noise → picture in a few runs of a graph that does one denoising step: the loop around the graph.

The service runs it for each request, training to judge a model: with the same numbers from the graph both
draw the same picture. Plain numpy; one picture [C, H, W], or a batch of them in step.

A picture on its way is x = a(t)·picture + s(t)·noise, from t = 1, all noise, to t = 0. From x and what the
graph says of it follow estimates of both; a step moves x by a's change times the picture and s's change
times the noise. That is DDIM's step (J. Song et al. 2020, arXiv:2010.02502) where the graph tells the noise
(J. Ho et al. 2020, arXiv:2006.11239), and Euler's where it tells the velocity of a straight path (X. Liu et
al. 2022, arXiv:2209.03003; Y. Lipman et al. 2022, arXiv:2210.02747). Heun's takes the mean of the estimates
at both ends of the step (T. Karras et al. 2022, arXiv:2206.00364), but for the last step, whose end tells no
noise. Pictures lie in −1 to 1, and estimates are held to that: guidance would lead beyond.
"""

import math

import numpy as np

from models.blocks import DiffusionPreprocessing

LARGEST_ANGLE = 0.49 * math.pi  # not 0.5: where nothing of the picture is left, noise tells none

Formulation = str


def shares(formulation: Formulation, t: float) -> tuple[float, float]:
    """(a, s): how much of x is picture, and how much noise, at time `t`."""
    if formulation == "flow":
        return 1.0 - t, t
    return math.cos(LARGEST_ANGLE * t), math.sin(LARGEST_ANGLE * t)


def runs_of(sampler: str, steps: int) -> int:
    """How often the graph is run."""
    return 2 * steps - 1 if sampler == "heun" else steps


class Denoising:
    """`x` and `t` are the graph's next inputs; `advance` takes its answer. After `runs_of` of them `is_done`,
    and `x` is the picture, in −1 to 1. `step` counts whole steps; `preview` is the picture as foreseen."""

    def __init__(
        self, noise: np.ndarray, block: DiffusionPreprocessing, steps: int, sampler: str
    ) -> None:
        self.x = noise.astype(np.float32)
        self.t = 1.0
        self.step, self.steps = 0, steps
        self.preview = np.zeros_like(self.x)
        self._formulation, self._is_heun = block.formulation, sampler == "heun"
        # Where the present step began, and the estimates there, while its end is being looked at.
        self._begin: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def is_done(self) -> bool:
        return self.step == self.steps

    def advance(self, answer: np.ndarray) -> None:
        """`answer`: the graph's, of the shape of `x`."""
        picture, noise = self._estimates(answer)
        self.preview = picture
        begin, end = self._time(self.step), self._time(self.step + 1)
        if self._begin is None:
            start = self.x
            self.x = self._moved(start, picture, noise, begin, end)
            self.t = end
            if self._is_heun and end > 0:
                self._begin = (start, picture, noise)
                return
        else:
            start, first_picture, first_noise = self._begin
            mean_picture = (first_picture + picture) / np.float32(2)
            mean_noise = (first_noise + noise) / np.float32(2)
            self.x = self._moved(start, mean_picture, mean_noise, begin, end)
            self._begin = None
        self.step += 1

    def _time(self, step: int) -> float:
        return 1.0 - step / self.steps

    def _estimates(self, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(picture, noise), each of the shape of `x`."""
        a, s = (np.float32(share) for share in shares(self._formulation, self.t))
        scaled = self.x - s * answer
        picture = scaled if self._formulation == "flow" else scaled / a
        picture = np.clip(picture, np.float32(-1), np.float32(1))
        return picture, (self.x - a * picture) / s

    def _moved(
        self, x: np.ndarray, picture: np.ndarray, noise: np.ndarray, begin: float, end: float
    ) -> np.ndarray:
        a, s = shares(self._formulation, begin)
        a_end, s_end = shares(self._formulation, end)
        moved: np.ndarray = x + np.float32(a_end - a) * picture + np.float32(s_end - s) * noise
        return moved
