"""What is measured, one scenario a module, in the order in which they run. Importing them is cheap."""

from benchmarks.harness.scenario import Scenario
from benchmarks.scenarios.convolutional import SCENARIO as CONVOLUTIONAL
from benchmarks.scenarios.generation import SCENARIO as GENERATION
from benchmarks.scenarios.generation_latency import SCENARIO as GENERATION_LATENCY
from benchmarks.scenarios.generation_step import SCENARIO as GENERATION_STEP
from benchmarks.scenarios.latency import SCENARIO as LATENCY
from benchmarks.scenarios.many_models import SCENARIO as MANY_MODELS
from benchmarks.scenarios.mlp import SCENARIO as MLP
from benchmarks.scenarios.observability import SCENARIO as OBSERVABILITY
from benchmarks.scenarios.optimization import SCENARIO as OPTIMIZATION
from benchmarks.scenarios.overload import SCENARIO as OVERLOAD
from benchmarks.scenarios.sentences import SCENARIO as SENTENCES
from benchmarks.scenarios.start import SCENARIO as START

SCENARIOS: tuple[Scenario, ...] = (
    MLP,
    LATENCY,
    CONVOLUTIONAL,
    SENTENCES,
    OPTIMIZATION,
    GENERATION,
    GENERATION_STEP,
    GENERATION_LATENCY,
    OVERLOAD,
    OBSERVABILITY,
    MANY_MODELS,
    START,
)
