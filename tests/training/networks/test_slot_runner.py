"""The runner's greedy texts are the decoder's own, in whatever chunks and company they are written."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.export import export
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import decoder_predict, first_prompts, slot_plan
from training.networks.slot_runner import greedy, lost_lead

CONFIG = DecoderConfig(context=64, width=64, layers=2, heads=4, kv_heads=2, hidden=48)
_VOCABULARY, _TOKENS = 60, 20


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Decoder, Path]:
    torch.manual_seed(2)
    decoder = Decoder(CONFIG, _VOCABULARY).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.25)
    path = tmp_path_factory.mktemp("runner") / "model.onnx"
    example = first_prompts(np.zeros((2, 8), np.int64), CONFIG)
    export(slot_plan(decoder, (8,)), example, path)
    return decoder, path


def prompts() -> list[np.ndarray]:
    draw = np.random.default_rng(5)
    return [draw.integers(0, _VOCABULARY, size) for size in (2, 33, 17, 9)]


@pytest.mark.parametrize("chunk", [2, 8, 16, 64])
def test_texts_depend_neither_on_chunks_nor_on_company(
    chunk: int, exported: tuple[Decoder, Path]
) -> None:
    decoder, path = exported
    expected = []
    for prompt in prompts():
        ids = torch.tensor(prompt)[None]
        with torch.inference_mode():
            for _ in range(_TOKENS):
                ids = torch.cat((ids, decoder(ids)[:, -1:].argmax(-1)), dim=1)
        expected.append(ids[0, len(prompt) :].tolist())
    assert greedy(path, prompts(), _TOKENS, chunk) == expected


def test_the_lead_that_a_choice_has_lost_is_found(exported: tuple[Decoder, Path]) -> None:
    decoder, path = exported
    ask, prompt = decoder_predict(decoder), prompts()[1]
    [written] = greedy(path, [prompt], _TOKENS, 16)
    answer = np.array(written)

    def lost(text: np.ndarray) -> float:
        read = first_prompts(np.concatenate((prompt, text))[None], CONFIG)
        return lost_lead(ask, read, prompt, text)

    assert lost(answer) < 0.02
    other = answer.copy()
    other[7] = (other[7] + 1) % _VOCABULARY
    assert lost(other) > 0.1
