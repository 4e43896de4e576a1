"""The decoder is causal, position-aware and learns; its parts equal their plain definitions."""

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError

from training.networks.decoder import Decoder, DecoderConfig, rotate
from training.networks.decoder_traits import FAMILIES

SMALL = DecoderConfig(context=24, width=64, layers=2, heads=4, kv_heads=2, hidden=48)


@pytest.fixture(params=FAMILIES)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    torch.manual_seed(1)
    return Decoder(SMALL.model_copy(update={"family": request.param}), vocabulary=40).eval()


def test_logits_have_one_row_for_every_token(decoder: Decoder) -> None:
    assert decoder(torch.zeros(3, 7, dtype=torch.long)).shape == (3, 7, 40)


def test_a_token_never_changes_what_stands_before_it(decoder: Decoder) -> None:
    ids = torch.randint(0, 40, (1, 12))
    changed = ids.clone()
    changed[0, 8] = (ids[0, 8] + 1) % 40
    difference = (decoder(ids) - decoder(changed)).abs().amax(-1)[0]
    assert difference[:8].max() == 0
    assert difference[8:].min() > 0


def test_order_of_tokens_matters(decoder: Decoder) -> None:
    ids = torch.tensor([[3, 5, 7, 9]])
    assert (decoder(ids) - decoder(ids.flip(1)))[0, -1].abs().max() > 1e-4


def test_packed_texts_are_read_as_if_each_stood_alone(decoder: Decoder) -> None:
    ids = torch.randint(0, 40, (2, 12))
    documents = torch.tensor([[0] * 5 + [1] * 7, [3] * 1 + [4] * 8 + [6] * 3])
    packed = decoder(ids, documents)
    for row, ends in enumerate(((0, 5, 12), (0, 1, 9, 12))):
        for start, end in pairwise(ends):
            alone = decoder(ids[row : row + 1, start:end])[0]
            assert (packed[row, start:end] - alone).abs().max() < 1e-5


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(1)
    decoder = Decoder(SMALL.model_copy(update={"dropout": 0.5}), 40)
    ids = torch.randint(0, 40, (1, 8))
    assert not torch.equal(decoder(ids), decoder(ids))
    decoder.eval()
    assert torch.equal(decoder(ids), decoder(ids))


def test_gpt2_has_biases_and_no_rotation_of_its_own() -> None:
    names = {
        name
        for name, _ in Decoder(SMALL.model_copy(update={"family": "gpt2"}), 9).named_parameters()
    }
    assert {"positions.weight", "blocks.0.attention.qkv.bias", "norm.bias"} <= names
    assert not {name for name, _ in Decoder(SMALL, 9).named_parameters() if "bias" in name}


def test_rotation_keeps_lengths_and_depends_on_distance_only() -> None:
    cos, sin = SMALL.rotaries[0].tables(SMALL.context)
    q, k = torch.randn(2, SMALL.head_size)

    def score(at: int, other: int) -> torch.Tensor:
        return rotate(q, cos[at], sin[at]) @ rotate(k, cos[other], sin[other])

    assert rotate(q, cos[9], sin[9]).norm() == pytest.approx(q.norm().item(), rel=1e-5)
    assert score(9, 4) == pytest.approx(score(15, 10).item(), abs=1e-4)


def test_tied_head_shares_its_weights_and_untied_does_not() -> None:
    tied = Decoder(SMALL, 40)
    untied = Decoder(SMALL.model_copy(update={"tied_head": False}), 40)
    assert tied.head.weight is tied.embedding.weight
    assert untied.head.weight is not untied.embedding.weight


@pytest.mark.parametrize("change", [{"width": 100}, {"heads": 3}, {"kv_heads": 3}])
def test_sizes_that_do_not_fit_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        DecoderConfig(**(SMALL.model_dump() | change))


def test_it_learns_a_repeating_text() -> None:
    torch.manual_seed(0)
    decoder = Decoder(SMALL, 8)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    ids = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7] * 3])
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(decoder(ids[:, :-1])[0], ids[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
