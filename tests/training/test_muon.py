"""The joint optimiser moves every weight, follows one schedule, and survives a checkpoint."""

import copy

import torch

from training.muon import MuonAdamW, configure
from training.networks.decoder import Decoder, DecoderConfig
from training.tasks.generation_settings import DecoderOptimConfig

CONFIG = DecoderConfig(context=16, width=32, layers=1, heads=2, kv_heads=1, hidden=48)
OPTIM = DecoderOptimConfig(learning_rate=1e-2, schedule="one_cycle", warmup_fraction=0.5)


def build() -> tuple[Decoder, MuonAdamW, torch.optim.lr_scheduler.LRScheduler]:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG, 20)
    answer = configure(decoder, OPTIM, matrix_learning_rate=0.02, total_steps=10)
    optimizer = answer["optimizer"]
    assert isinstance(optimizer, MuonAdamW)
    scheduler = answer["lr_scheduler"]
    assert isinstance(scheduler, dict)
    return decoder, optimizer, scheduler["scheduler"]  # type: ignore[return-value]


def learn(
    decoder: Decoder,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    steps: int,
) -> float:
    ids = torch.arange(17)[None]
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(decoder(ids[:, :-1])[0], ids[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return loss.item()


def test_every_weight_moves_and_the_loss_falls() -> None:
    decoder, optimizer, scheduler = build()
    before = copy.deepcopy(decoder.state_dict())
    first = learn(decoder, optimizer, scheduler, 1)
    assert learn(decoder, optimizer, scheduler, 8) < 0.8 * first
    assert all(not torch.equal(before[name], now) for name, now in decoder.state_dict().items())


def test_embedding_and_norms_are_left_to_adamw() -> None:
    decoder, optimizer, _ = build()
    muon, adamw = optimizer.param_groups
    assert {weight.shape for weight in muon["params"]} == {
        weight.shape
        for block in decoder.blocks
        for weight in block.parameters()
        if weight.ndim == 2
    }
    assert any(weight is decoder.embedding.weight for weight in adamw["params"])
    assert len(muon["params"]) + len(adamw["params"]) == len(list(decoder.parameters()))


def test_one_schedule_drives_both_step_sizes() -> None:
    decoder, optimizer, scheduler = build()
    assert [group["lr"] for group in optimizer.param_groups] == [0.02 / 5, 1e-2 / 5]
    learn(decoder, optimizer, scheduler, 4)
    assert [group["lr"] for group in optimizer.param_groups] == [0.02, 1e-2]


def test_a_checkpoint_goes_on_where_it_stood() -> None:
    straight = build()
    learn(*straight, 6)
    stopped = build()
    learn(*stopped, 3)
    resumed = build()
    resumed[0].load_state_dict(stopped[0].state_dict())
    resumed[1].load_state_dict(copy.deepcopy(stopped[1].state_dict()))
    resumed[2].load_state_dict(stopped[2].state_dict())
    learn(*resumed, 3)
    for expected, given in zip(straight[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(expected, given)
