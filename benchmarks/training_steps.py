"""What parts of a training step cost on this processor, ours against torch's own.

`python -m benchmarks.training_steps`: one thread, best of several, both ways taking turns; forward and
backward pass where there is one. Needs the `train` extra and a minute.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from training.config import OptimConfig
from training.networks.attention import attention
from training.networks.dropout import Dropout
from training.optimizer import configure

_ROUNDS = 7
_SHAPES = (  # batch, heads, length, size of a head, causal
    (150, 4, 20, 64, False),
    (32, 12, 32, 32, False),
    (128, 3, 65, 64, False),
    (32, 12, 128, 32, False),
    (8, 4, 256, 64, True),
)


class Pair(NamedTuple):
    what: str
    theirs: Callable[[], object]
    ours: Callable[[], object]


def pairs() -> Iterator[Pair]:
    yield _optimizers()
    yield from (_attentions(*shape) for shape in _SHAPES)
    yield from (_dropouts(shape) for shape in ((150, 19, 512), (32, 32, 384)))


def _optimizers() -> Pair:
    """A MiniLM's weights: embeddings of 30,522 words and six layers."""
    network = nn.ModuleList(
        [nn.Embedding(30_522, 384), *(nn.Linear(384, 1536, bias=False) for _ in range(18))]
    )
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    plan = configure(network, OptimConfig(optimizer="adamw"), 100)  # its schedule watches the steps
    plain = torch.optim.AdamW(network.parameters(), lr=1e-5)
    return Pair("AdamW, 22 million weights", plain.step, lambda: plan["optimizer"].step())


def _attentions(batch: int, heads: int, length: int, size: int, is_causal: bool) -> Pair:
    shape = (batch, heads, length, size)
    query, key, value = (
        torch.randn(shape, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
    )

    def theirs() -> None:
        answer = functional.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
        answer.sum().backward()  # type: ignore[no-untyped-call]

    def ours() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            answer = attention(query, key, value, is_causal=is_causal)
        answer.sum().backward()  # type: ignore[no-untyped-call]

    return Pair(f"attention under bf16, [{batch}, {heads}, {length}, {size}]", theirs, ours)


def _dropouts(shape: tuple[int, ...]) -> Pair:
    given = torch.randn(shape, requires_grad=True)

    def through(part: nn.Module) -> Callable[[], None]:
        def run() -> None:
            answer: Tensor = part(given)
            answer.sum().backward()  # type: ignore[no-untyped-call]

        return run

    return Pair(f"dropout, {list(shape)}", through(nn.Dropout(0.2)), through(Dropout(0.2)))


def compare(pair: Pair, rounds: int = _ROUNDS) -> tuple[float, float]:
    """Best seconds of each."""
    best = [float("inf")] * 2
    for _ in range(rounds + 1):  # the first allocates; it cannot be the best
        for index, run in enumerate((pair.theirs, pair.ours)):
            began = time.perf_counter()
            run()
            best[index] = min(best[index], time.perf_counter() - began)
    return best[0], best[1]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = Table("part of a step", "torch, ms", "Slipway, ms", "torch ÷ Slipway")
    for pair in pairs():
        theirs_s, ours_s = compare(pair)
        table.add_row(
            pair.what, f"{theirs_s * 1e3:.1f}", f"{ours_s * 1e3:.1f}", f"{theirs_s / ours_s:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
