"""What a language model makes of a few beginnings, for its card.

Called by the plots of text generation, with the published graph. Reads the whole text anew for each
token, which needs no cache and is quick enough for a hundred tokens; serving does not work like this.
"""

import numpy as np

from models.transforms.scores import softmax
from training.data.windows import Tokens
from training.networks.decoder import DecoderConfig
from training.networks.slot_plan import first_prompts
from training.work import Predict

_TEMPERATURE = 0.7
_SEED = 0


def continue_prompt(prompt: Tokens, predict: Predict, config: DecoderConfig, tokens: int) -> Tokens:
    """The prompt and up to `tokens` more, drawn at a temperature of 0.7 with a fixed seed."""
    generator = np.random.default_rng(_SEED)
    text = prompt[: config.context - 1].tolist()
    for _ in range(min(tokens, config.context - len(text))):
        logits = predict(first_prompts(np.array([text]), config))["logits"][-1]
        chances = softmax(logits, _TEMPERATURE).astype(np.float64)
        text.append(int(generator.choice(len(chances), p=chances / chances.sum())))
    return np.array(text)
