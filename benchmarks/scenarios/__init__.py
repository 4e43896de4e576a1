"""What is measured, one scenario a module, in the order in which they run. Importing them is cheap."""

from benchmarks.harness.scenario import Scenario
from benchmarks.scenarios import (
    convolutional,
    latency,
    many_models,
    mlp,
    observability,
    overload,
    sentences,
    start,
)

SCENARIOS: tuple[Scenario, ...] = (
    mlp.SCENARIO,
    latency.SCENARIO,
    convolutional.SCENARIO,
    sentences.SCENARIO,
    overload.SCENARIO,
    observability.SCENARIO,
    many_models.SCENARIO,
    start.SCENARIO,
)
