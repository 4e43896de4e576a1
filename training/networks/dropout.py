"""Dropout (Srivastava et al. 2014) that draws a byte for each number instead of 64 bits.

torch draws masks on a CPU by one thread and eight bytes at a time, which is a tenth of a Transformer's
training step there. The share is a multiple of 1/256; what is kept is scaled by what that share really is.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

_LEVELS = 256


class Dropout(nn.Dropout):
    """As `torch.nn.Dropout`; on other devices, and where nothing is dropped, it is that."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        dropped = round(self.p * _LEVELS)
        if not self.training or input.device.type != "cpu" or not 0 < dropped < _LEVELS:
            return super().forward(input)
        words = torch.empty((input.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.uint8)[: input.numel()].view(input.shape)
        kept = (drawn >= dropped).to(input.dtype) * (_LEVELS / (_LEVELS - dropped))
        return input * kept


def quicken_dropout(network: nn.Module) -> None:
    """Replace torch's dropout within somebody else's network, in place."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p))
