"""Pods behind a balancer, in simulated time: they start cold, are scraped late, scaled and withdrawn."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import simpy

from benchmarks.scaling.arrivals import Arrivals
from benchmarks.scaling.autoscaler import Autoscaler, Scaling
from benchmarks.scaling.curve import Profile
from benchmarks.scaling.ledger import Ledger
from benchmarks.scaling.pod import Process, SimulatedPod

_SAMPLE_S = 0.25


@dataclass(frozen=True)
class ColdStart:
    """From "one more pod" to its first request, besides the measured start of the process. `before_s`:
    scheduling, a node perhaps, and pulling the image; readiness is looked at every `probe_s`."""

    before_s: float = 5.0
    probe_s: float = 5.0

    def draw(self, start_s: float, chance: random.Random) -> float:
        return self.before_s + start_s + chance.random() * self.probe_s


@dataclass(frozen=True)
class Setup:
    """`pods` at the beginning, all ready. `choices`: pods that the balancer looks at, of which the one with
    fewest in flight gets the request; 1 is a Service's way. Without `scaling` their number stays."""

    profile: Profile
    arrivals: Arrivals
    seconds: float
    pods: int = 1
    warm_s: float = 0.0
    choices: int = 1
    scaling: Scaling | None = None
    cold: ColdStart = ColdStart()


@dataclass(frozen=True)
class Outcome:
    """Of what arrived after `warm_s`: refusals, latencies, waits; of the time after it: `answers_per_s`,
    `in_flight_per_pod`, and `pods`, the mean of ready ones. Of the whole time: `pod_s`, with starting ones,
    which cost as much, and the rest. `last_pods`: asked for at the end. `refusing_s`: from the first refusal
    to the last."""

    arrived: int
    refused: int
    answers_per_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    wait_mean_s: float
    rows_per_run: float
    busy_share: float
    in_flight_per_pod: float
    pods: float
    pod_s: float
    most_pods: int
    last_pods: int
    refusing_s: float

    @property
    def refused_share(self) -> float:
        return self.refused / self.arrived if self.arrived else 0.0


@dataclass
class _Sampled:
    """Sums of what was seen every _SAMPLE_S after the warm-up."""

    times: int = 0
    ready: int = 0
    in_flight: float = 0.0


class Cluster:
    """One simulation. The same setup and seed give the same outcome, whatever ran before."""

    def __init__(self, setup: Setup, seed: int) -> None:
        self.setup = setup
        self.env = simpy.Environment()
        self.ledger = Ledger(setup.warm_s)
        self._chance = random.Random(seed)
        self._arriving = random.Random(f"{seed}/arrivals")  # alike, whatever else is drawn
        self._scraped: dict[SimulatedPod, int] = {}
        self._starting: list[simpy.Process] = []
        self.ready: list[SimulatedPod] = []
        self._gone_busy_s = 0.0
        self.leaving: list[SimulatedPod] = []
        self._pod_s = 0.0
        self._most_pods = setup.pods
        self._sampled = _Sampled()
        for _ in range(setup.pods):
            self._join()

    @property
    def asked_for(self) -> int:
        return len(self.ready) + len(self._starting)

    def run(self) -> Outcome:
        self.env.process(self._arrive())
        self.env.process(self._watch())
        if self.setup.scaling is not None:
            self.env.process(self._scale(self.setup.scaling))
        self.env.run(until=self.setup.seconds)
        return self._outcome()

    # -- requests ---------------------------------------------------------------------------------

    def _arrive(self) -> Process:
        for moment in self.setup.arrivals(self._arriving):
            yield self.env.timeout(max(0.0, moment - self.env.now))
            self.ledger.arrive(self.env.now)
            if self.ready:
                self._choose().submit()
            else:
                self.ledger.refuse(self.env.now, self.env.now)

    def _choose(self) -> SimulatedPod:
        ready, chance = self.ready, self._chance
        if self.setup.choices >= len(ready):
            return min(ready, key=lambda pod: pod.in_flight)
        looked_at = [ready[int(chance.random() * len(ready))] for _ in range(self.setup.choices)]
        return min(looked_at, key=lambda pod: pod.in_flight)

    # -- pods -------------------------------------------------------------------------------------

    def _join(self) -> None:
        pod = SimulatedPod(self.env, self.setup.profile, self.ledger, self._chance)
        self.ready.append(pod)
        if self.setup.scaling is not None:
            self.env.process(self._scrape(pod, self.setup.scaling.scrape_s))

    def _start(self) -> Process:
        this = self.env.active_process
        assert this is not None
        delay_s = self.setup.cold.draw(self.setup.profile.start_s, self._chance)
        try:
            yield self.env.timeout(delay_s)
        except simpy.Interrupt:  # withdrawn before it was ready
            return
        self._starting.remove(this)
        self._join()

    def _leave(self) -> None:
        """The newest goes first; a ready one finishes what it has, and is not asked any more."""
        if self._starting:
            self._starting.pop().interrupt()
        else:
            pod = self.ready.pop()
            self._scraped.pop(pod, None)
            self.leaving.append(pod)

    # -- what is seen, and what is done about it --------------------------------------------------

    def _scrape(self, pod: SimulatedPod, every_s: float) -> Process:
        """Each target has its own place in the interval, as in Prometheus."""
        yield self.env.timeout(self._chance.random() * every_s)
        while pod in self.ready:
            self._scraped[pod] = pod.in_flight
            yield self.env.timeout(every_s)

    def _scale(self, scaling: Scaling) -> Process:
        autoscaler = Autoscaler(scaling)
        yield self.env.timeout(self._chance.random() * scaling.sync_s)
        while True:
            wait_s = 0.0
            if scaling.queue_wait_p95_s:
                wait_s = self.ledger.recent_wait_s(self.env.now, 0.95)
            current, in_flight = self.asked_for, sum(self._scraped.values())
            wanted = autoscaler.decide(self.env.now, current, len(self.ready), in_flight, wait_s)
            for _ in range(wanted - current):
                self._starting.append(self.env.process(self._start()))
            for _ in range(current - wanted):
                self._leave()
            yield self.env.timeout(scaling.sync_s)

    def _watch(self) -> Process:
        while True:
            self.leaving = [pod for pod in self.leaving if pod.in_flight or self._retire(pod)]
            self._pod_s += (self.asked_for + len(self.leaving)) * _SAMPLE_S
            self._most_pods = max(self._most_pods, self.asked_for)
            if self.env.now >= self.setup.warm_s and self.ready:
                here = sum(pod.in_flight for pod in self.ready)
                self._sampled.times += 1
                self._sampled.in_flight += here / len(self.ready)
                self._sampled.ready += len(self.ready)
            yield self.env.timeout(_SAMPLE_S)

    def _retire(self, pod: SimulatedPod) -> bool:
        self._gone_busy_s += pod.busy_s
        return False

    def _outcome(self) -> Outcome:
        ledger, workers = self.ledger, self.setup.profile.workers
        busy_s = self._gone_busy_s + sum(pod.busy_s for pod in (*self.ready, *self.leaving))
        first, last = ledger.first_refusal_s, ledger.last_refusal_s
        return Outcome(
            arrived=ledger.counted,
            refused=ledger.counted_refused,
            answers_per_s=ledger.answered_after_warm_up / (self.setup.seconds - self.setup.warm_s),
            p50_s=ledger.latency_s(0.5),
            p95_s=ledger.latency_s(0.95),
            p99_s=ledger.latency_s(0.99),
            wait_mean_s=sum(ledger.waits_s) / max(1, len(ledger.waits_s)),
            rows_per_run=ledger.rows / max(1, ledger.runs),
            busy_share=busy_s / max(self._pod_s * workers, 1e-9),
            in_flight_per_pod=self._sampled.in_flight / max(1, self._sampled.times),
            pods=self._sampled.ready / max(1, self._sampled.times),
            pod_s=self._pod_s,
            most_pods=self._most_pods,
            last_pods=self.asked_for,
            refusing_s=0.0 if first is None or last is None else last - first,
        )


def simulate(setup: Setup, seed: int = 0) -> Outcome:
    return Cluster(setup, seed).run()


def least_pods(enough: Callable[[int], bool], first: int) -> int:
    """The smallest count that is `enough`, not less than `first`. More are never worse."""
    low, high = first, first
    while not enough(high):
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
