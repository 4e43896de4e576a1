"""Adapters learn, the base does not; merged, they are the same function."""

import torch

from training.decoder_checkpoint import DecoderCheckpoint
from training.lora import add_adapters, merged
from training.networks.decoder import Decoder, DecoderConfig
from training.tasks.generation_settings import LoraConfig

CONFIG = DecoderConfig(context=16, width=32, layers=2, heads=2, kv_heads=1, hidden=48)
KNOWN = 20


def adapted() -> tuple[Decoder, dict[str, torch.Tensor]]:
    """A decoder with two new tokens and adapters, after a few steps; its weights before."""
    torch.manual_seed(0)
    network = Decoder(CONFIG, KNOWN + 2)
    add_adapters(network, LoraConfig(rank=4), KNOWN)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-2, weight_decay=0.0)
    ids = torch.randint(0, KNOWN + 2, (4, 12))
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(
            network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval(), before


def test_base_weights_are_untouched_but_for_the_rows_of_new_tokens() -> None:
    network, before = adapted()
    for name, weight in network.named_parameters():
        if "lora_" in name:
            assert not torch.equal(weight, before[name]), name
        elif name != "embedding.weight":
            assert torch.equal(weight, before[name]), name
    embedding, first = network.embedding.weight, before["embedding.weight"]
    assert torch.equal(embedding[:KNOWN], first[:KNOWN])
    assert not torch.equal(embedding[KNOWN:], first[KNOWN:])


def test_merged_network_answers_as_the_adapters_do_and_has_none() -> None:
    network, _ = adapted()
    plain = merged(network)
    ids = torch.randint(0, KNOWN + 2, (3, 16))
    with torch.inference_mode():
        difference = (plain(ids) - network(ids)).abs().max()
        without = Decoder(CONFIG, KNOWN + 2)(ids)
    assert difference < 1e-5
    assert (plain(ids) - without).abs().max() > 1e-2
    assert set(plain.state_dict()) == set(Decoder(CONFIG, KNOWN + 2).state_dict())
    assert any("lora_" in name for name in network.state_dict())


def test_every_matrix_of_both_families_gets_an_adapter() -> None:
    for family, matrices in (("llama", 4), ("gpt2", 4)):
        network = Decoder(CONFIG.model_copy(update={"family": family}), KNOWN)
        add_adapters(network, LoraConfig(rank=2), KNOWN)
        learning = [name for name, weight in network.named_parameters() if weight.requires_grad]
        assert len(learning) == 2 * matrices * CONFIG.layers
        assert all("lora_" in name for name in learning)


def test_a_network_without_adapters_is_its_own_merge() -> None:
    network = Decoder(CONFIG, KNOWN)
    assert merged(network) is network


def test_new_rows_begin_near_the_mean_of_the_known_ones() -> None:
    torch.manual_seed(0)
    base = Decoder(CONFIG, KNOWN)
    weights = {name: value.clone() for name, value in base.state_dict().items()}
    network = DecoderCheckpoint(CONFIG, None, weights).decoder(CONFIG, KNOWN + 3)  # type: ignore[arg-type]
    assert torch.equal(network.embedding.weight[:KNOWN], base.embedding.weight)
    gap = network.embedding.weight[KNOWN:] - base.embedding.weight.mean(dim=0)
    assert gap.abs().max() < base.embedding.weight.std()
    assert network.head.weight is network.embedding.weight
