"""Two texts as one sequence: marks around them, for tokenizers that are fitted here.

The marks are entries of the vocabulary that no text can become: they are put in by the tokenizer's
template alone, whatever a caller writes. Type ids are 0 for the first text and 1 for the second.
"""

import json

from tokenizers import Tokenizer

START, SEPARATOR = "[CLS]", "[SEP]"


def with_pair_marks(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, two tokens larger: [CLS] first [SEP] second [SEP]."""
    description = json.loads(tokenizer.to_str())
    vocabulary = description["model"]["vocab"]
    # Not among `added_tokens`, which are looked for in the text itself.
    for mark in (START, SEPARATOR):
        vocabulary[mark] = len(vocabulary)
    description["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [_special(START, 0), _text("A", 0), _special(SEPARATOR, 0)],
        "pair": [
            _special(START, 0),
            _text("A", 0),
            _special(SEPARATOR, 0),
            _text("B", 1),
            _special(SEPARATOR, 1),
        ],
        "special_tokens": {
            mark: {"id": mark, "ids": [vocabulary[mark]], "tokens": [mark]}
            for mark in (START, SEPARATOR)
        },
    }
    return Tokenizer.from_str(json.dumps(description, ensure_ascii=False))


def _special(mark: str, type_id: int) -> dict[str, object]:
    return {"SpecialToken": {"id": mark, "type_id": type_id}}


def _text(which: str, type_id: int) -> dict[str, object]:
    return {"Sequence": {"id": which, "type_id": type_id}}
