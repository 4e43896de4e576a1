"""Both detectors as the tests build them: small, untrained, having looked at noise once."""

import torch
from torch import Tensor

from training.networks.anomaly_map import AnomalyMap
from training.networks.autoencoder import Autoencoder, ReconstructionMap
from training.networks.cell_encoder import CellEncoder
from training.networks.patch_memory import PatchMemory

SIDE = 32


def good_pictures(count: int = 12) -> Tensor:
    """Faint noise."""
    return 0.3 * torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def patch_memory(size: int = 40, seed: int = 0, batches: int = 3) -> PatchMemory:
    torch.manual_seed(0)
    memory = PatchMemory(CellEncoder(4).eval(), AnomalyMap(SIDE, SIDE, 1.0), neighbours=2)
    memory.remember(good_pictures().chunk(batches), size, seed)
    return memory.eval()


def reconstruction() -> ReconstructionMap:
    torch.manual_seed(0)
    detector = ReconstructionMap(Autoencoder(4, 2).eval(), AnomalyMap(SIDE, SIDE, 1.0))
    detector.measure(good_pictures().chunk(3))
    return detector.eval()
