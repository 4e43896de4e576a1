"""When requests arrive. Each function yields moments in seconds, ascending, drawn from `chance` alone."""

import random
from collections.abc import Callable, Iterable, Iterator

Arrivals = Callable[[random.Random], Iterator[float]]


def poisson(rate: float, seconds: float) -> Arrivals:
    """Independent callers: at random, so many per second on average."""
    return stepped([(seconds, rate)])


def stepped(phases: Iterable[tuple[float, float]]) -> Arrivals:
    """Poisson within each phase of (length in seconds, rate)."""
    kept = list(phases)
    return lambda chance: _through(kept, chance)


def bursty(rate: float, times: float, burst_s: float, quiet_s: float, seconds: float) -> Arrivals:
    """`rate` on average; in bursts `times` as many arrive as between them. Both last exponentially
    distributed times (a Markov-modulated Poisson process)."""
    quiet_rate = rate * (burst_s + quiet_s) / (times * burst_s + quiet_s)

    def phases(chance: random.Random) -> Iterator[tuple[float, float]]:
        now = 0.0
        while now < seconds:
            for mean_s, phase_rate in ((quiet_s, quiet_rate), (burst_s, times * quiet_rate)):
                length_s = min(chance.expovariate(1 / mean_s), seconds - now)
                now += length_s
                yield length_s, phase_rate

    return lambda chance: _through(phases(chance), chance)


def _through(phases: Iterable[tuple[float, float]], chance: random.Random) -> Iterator[float]:
    """Exponential gaps have no memory, so that each phase may begin its own."""
    began = 0.0
    for length_s, rate in phases:
        moment = began
        while rate > 0 and (moment := moment + chance.expovariate(rate)) < began + length_s:
            yield moment
        began += length_s
