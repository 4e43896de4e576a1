import pytest
import torch

from training.networks.bag import EmbeddingEncoder
from training.networks.pair_scorer import PairScorer
from training.networks.sentence_encoder import SentenceEncoder
from training.networks.text_encoder import Pooling
from training.networks.transformer_encoder import TransformerEncoder


def transformer() -> TransformerEncoder:
    torch.manual_seed(0)
    return TransformerEncoder(
        vocabulary=50, width=8, layers=1, heads=2, inner=8, max_tokens=16, dropout=0.0
    )


@pytest.mark.parametrize(("pooling", "size"), [("mean", 8), ("max", 8), ("mean_max", 16)])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 16)])
def test_any_batch_and_length_give_one_vector_a_text(
    pooling: Pooling, size: int, batch: int, length: int
) -> None:
    network = SentenceEncoder(transformer(), pooling=pooling).eval()
    ids = torch.randint(50, (batch, length))
    assert network(ids, torch.ones_like(ids)).shape == (batch, size)
    assert network.dimensions == size


def test_padding_changes_no_vector() -> None:
    network = SentenceEncoder(transformer(), pooling="mean").eval()
    ids = torch.randint(50, (2, 5))
    alone = network(ids, torch.ones_like(ids))
    padded = torch.cat([ids, torch.randint(50, (2, 4))], dim=1)
    mask = torch.cat([torch.ones_like(ids), torch.zeros(2, 4, dtype=torch.long)], dim=1)
    assert torch.allclose(network(padded, mask), alone, atol=1e-6)


def test_the_vector_of_a_bag_is_the_mean_of_its_tokens() -> None:
    encoder = EmbeddingEncoder(vocabulary=50, width=4, dropout=0.0)
    network = SentenceEncoder(encoder, pooling="mean").eval()
    first, second = torch.tensor([[3, 7]]), torch.tensor([[7, 3]])
    mask = torch.ones_like(first)
    assert torch.allclose(network(first, mask), network(second, mask))


def test_a_scorer_gives_one_number_a_pair_whatever_is_padded() -> None:
    network = PairScorer(transformer(), dropout=0.0).eval()
    ids = torch.randint(50, (3, 6))
    kinds = torch.tensor([[0, 0, 1, 1, 1, 1]] * 3)
    mask = torch.ones_like(ids)
    alone = network(ids, mask, kinds)
    assert alone.shape == (3, 1)
    nothing = torch.zeros(3, 2, dtype=torch.long)
    padded = [torch.cat([part, nothing], dim=1) for part in (ids, mask, kinds)]
    assert torch.allclose(network(*padded), alone, atol=1e-6)


def test_a_scorer_tells_the_two_texts_apart() -> None:
    network = PairScorer(transformer(), dropout=0.0).eval()
    ids, mask = torch.randint(50, (1, 6)), torch.ones(1, 6, dtype=torch.long)
    first = network(ids, mask, torch.tensor([[0, 0, 1, 1, 1, 1]]))
    second = network(ids, mask, torch.tensor([[0, 0, 0, 0, 1, 1]]))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", [SentenceEncoder, PairScorer])
def test_every_weight_is_in_exactly_one_layer(kind: type) -> None:
    network = (
        SentenceEncoder(transformer(), pooling="mean")
        if kind is SentenceEncoder
        else PairScorer(transformer(), dropout=0.0)
    )
    grouped = [id(weight) for group in network.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in network.parameters())
