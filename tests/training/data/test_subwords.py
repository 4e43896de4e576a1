"""Texts are cut in several ways that all say the same, and the seed decides how."""

import numpy as np

from models.blocks import TextPreprocessing
from models.transforms.text import TextEncoder
from training.data.subwords import encode_varied
from training.data.text_tokenizer import fit_tokenizer

TEXTS = ("international understanding",) * 200
TOKENIZER = fit_tokenizer([*TEXTS, "nation", "under", "standing"], 400, lowercase=True)
ENCODER = TextEncoder(TOKENIZER.to_str(), TextPreprocessing(max_tokens=64))


def _encode(dropout: float, seed: int) -> list[list[int]]:
    return [row.tolist() for row in encode_varied(TEXTS, ENCODER, dropout, seed)]


def test_without_dropout_texts_are_read_as_they_will_be_when_served() -> None:
    served = ENCODER.encode(TEXTS[0])["input_ids"].tolist()
    assert _encode(0.0, seed=0) == [served] * len(TEXTS)


def test_half_of_the_texts_are_cut_otherwise_and_spell_the_same() -> None:
    served = ENCODER.encode(TEXTS[0])["input_ids"].tolist()
    rows = _encode(0.3, seed=0)
    unchanged = sum(row == served for row in rows) / len(rows)
    assert 0.4 < unchanged < 0.7
    assert len({tuple(row) for row in rows}) > 5
    spelled = {"".join(TOKENIZER.id_to_token(token) for token in row) for row in rows}
    assert spelled == {"".join(TOKENIZER.id_to_token(token) for token in served)}


def test_the_seed_alone_decides() -> None:
    assert _encode(0.3, seed=1) == _encode(0.3, seed=1)
    assert _encode(0.3, seed=1) != _encode(0.3, seed=2)


def test_order_and_type_of_the_rows_are_kept() -> None:
    texts = tuple(f"{number} nations" for number in range(300))
    rows = encode_varied(texts, ENCODER, 0.2, seed=0)
    assert all(row.dtype == np.int64 for row in rows)
    spelled = ["".join(TOKENIZER.id_to_token(token) for token in row) for row in rows]
    assert spelled == [f"Ġ{number}Ġnations" for number in range(300)]
