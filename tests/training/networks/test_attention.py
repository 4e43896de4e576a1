"""Attention is torch's own, whatever the precision around it."""

import pytest
import torch

from training.networks.attention import attention


def parts(heads: int, kv_heads: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, heads, 7, 8), (2, kv_heads, 7, 8), (2, kv_heads, 7, 8))
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def by_hand(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias
    return scores.softmax(-1) @ value


@pytest.mark.parametrize("heads", [4, 2])
@pytest.mark.parametrize("autocast", [False, True])
def test_it_is_the_formula(heads: int, autocast: bool) -> None:
    query, key, value = parts(heads, 2)
    bias = torch.zeros(2, 1, 1, 7)
    bias[1, ..., 4:] = -1e9
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = attention(query, key, value, bias)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, by_hand(query, key, value, bias), rtol=1e-5, atol=1e-5)


def test_causal_rows_see_nothing_that_follows() -> None:
    query, key, value = parts(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        before = attention(query, key, value, is_causal=True)
        value[:, :, 5:] = 9.0
        after = attention(query, key, value, is_causal=True)
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.equal(before[:, :, 5:], after[:, :, 5:])


def test_gradients_flow_through_autocast_in_the_callers_precision() -> None:
    query, key, value = (part.bfloat16().requires_grad_() for part in parts(4, 2))
    with torch.autocast("cpu", torch.bfloat16):
        attention(query, key, value).sum().backward()
    assert all(
        part.grad is not None and part.grad.dtype == torch.bfloat16 for part in (query, key, value)
    )
