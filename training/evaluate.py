"""Stage 2, evaluate: figures on the held-out split, and the accuracy gate.

The figures come from the kind of work; the decision is made here, once for all. It judges the point
estimate; the interval is printed beside it for the reader.
"""

import math

from models.errors import UsageError
from models.manifest import Evaluation, Gate
from training.config import GateConfig
from training.errors import GateFailed
from training.report import Reporter, figure


def judge(
    evaluations: tuple[Evaluation, ...], config: GateConfig, report: Reporter
) -> tuple[Gate, ...]:
    """Print figures and gates. Raises GateFailed when the main metric may not be published."""
    report.evaluations(evaluations)
    gates = accuracy_gates(evaluations[0], config)
    if gates:
        report.gates(gates)
    require(gates)
    return gates


def accuracy_gates(main: Evaluation, config: GateConfig) -> tuple[Gate, ...]:
    """The floor, if there is one, and every baseline that must be beaten."""
    gates = []
    if config.accuracy_floor is not None:
        gates.append(_gate("accuracy-floor", config.accuracy_floor, main))
    for name in config.beats:
        if name not in main.baselines:
            raise UsageError(
                f"gates.beats names {name!r}; {main.metric} has the baselines "
                f"{', '.join(main.baselines) or 'none'}"
            )
        # Equal is not better: the limit is the next number beyond the baseline.
        beyond = math.inf if main.higher_is_better else -math.inf
        gates.append(_gate(f"beats-{name}", math.nextafter(main.baselines[name], beyond), main))
    return tuple(gates)


def require(gates: tuple[Gate, ...]) -> None:
    """Raises GateFailed naming every gate that did not pass."""
    failed = [
        f"{gate.name}: {gate.detail or gate.name} is {figure(gate.measured)}, "
        f"must be {gate.comparison} {figure(gate.limit)}"
        for gate in gates
        if not gate.passed
    ]
    if failed:
        raise GateFailed(
            f"{'; '.join(failed)}. Nothing was published; train longer (--epochs) "
            "or change the limit (--set gates.…)"
        )


def _gate(name: str, limit: float, main: Evaluation) -> Gate:
    passed = main.value >= limit if main.higher_is_better else main.value <= limit
    return Gate(
        name=name,
        limit=limit,
        measured=main.value,
        comparison=">=" if main.higher_is_better else "<=",
        passed=passed,
        detail=main.metric,
    )
