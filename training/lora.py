"""Low-rank adapters: a base model's matrices stay as they are, small products beside them learn.

Source: Hu et al. 2021 (arXiv:2106.09685), by the library peft. Rows that were added to the embedding for
new control tokens learn too: no adapter could give a token a meaning that it never had. For export the
products are added to the matrices, so that the graph is that of any other decoder.
"""

import copy

from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor

from training.networks.decoder import Decoder
from training.tasks.generation_settings import LoraConfig

_MATRICES = r"blocks\.\d+\.(attention|feed_forward)\.\w+"


def add_adapters(network: Decoder, config: LoraConfig, known_tokens: int) -> None:
    """Only adapters learn from now on, and the embedding's rows from `known_tokens` on."""
    settings = PeftConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # a float serves as well
        lora_dropout=config.dropout,
        target_modules=_MATRICES,
    )
    inject_adapter_in_model(settings, network)
    for name, weight in network.named_parameters():
        weight.requires_grad_("lora_" in name)
    if known_tokens < network.embedding.num_embeddings:
        embedding = network.embedding.weight
        embedding.requires_grad_(True)

        def of_new_rows(gradient: Tensor) -> Tensor:
            gradient = gradient.clone()
            gradient[:known_tokens] = 0
            return gradient

        embedding.register_hook(of_new_rows)  # type: ignore[no-untyped-call]


def merged(network: Decoder) -> Decoder:
    """The same function without adapters; the given network keeps its own."""
    if not any(isinstance(part, LoraLayer) for part in network.modules()):
        return network
    plain = copy.deepcopy(network)
    for name, part in list(plain.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(plain.get_submodule(parent), attribute, part.get_base_layer())
    return plain
