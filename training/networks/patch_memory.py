"""How far a picture's cells are from all cells of good pictures that are remembered.

PatchCore (K. Roth et al. 2021, arXiv:2106.08265): a memory of features, thinned out so that every cell that
was seen has a remembered one nearby (greedy k-centres; T. Gonzalez 1985). Features are whitened first, so
that distances count in the deviations of good pictures, as in PaDiM (T. Defard et al. 2020,
arXiv:2011.08785). Memory and statistics are constants of the exported graph.

Shapes: N items, S side in pixels, h cells to a side, F features of a cell, G kept directions, M remembered
cells, C cells looked at.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.anomaly_map import AnomalyMap
from training.networks.cell_encoder import CellEncoder

_MOST_CELLS = 30_000  # that the memory is chosen from
_MOST_DIRECTIONS = 48
_LEAST_SQUARE = 1e-2  # of a distance
_LEAST_VARIANCE = 1e-3  # of the largest: directions that hardly vary would be noise made loud


class PatchMemory(nn.Module):
    """Pictures float [N, 3, S, S], normalised → (score [N], map [N, S, S]); `remember` must come first."""

    centre: Tensor
    directions: Tensor
    memory: Tensor

    def __init__(self, encoder: CellEncoder, last: AnomalyMap, neighbours: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.last = last
        self._neighbours = neighbours
        for name in ("centre", "directions", "memory"):
            self.register_buffer(name, torch.zeros(0))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        places = self._white(self._averaged(image))  # [N, h, h, G]
        products = places @ self.memory.T
        lengths = (places**2).sum(dim=-1, keepdim=True)
        squares = (lengths - 2 * products + (self.memory**2).sum(dim=-1)).clamp(min=0)
        nearest = squares.topk(self._neighbours, dim=-1, largest=False).values
        # A distance, not its square, or what is far off has more digits than a float holds; the constant
        # keeps the root from making the rounding of small squares large.
        answer: tuple[Tensor, Tensor] = self.last((nearest.mean(dim=-1) + _LEAST_SQUARE).sqrt())
        return answer

    @torch.no_grad()
    def remember(self, batches: Iterable[Tensor], size: int, seed: int) -> None:
        """Choose `size` cells of good pictures; `batches` as for `forward`."""
        dice = torch.Generator().manual_seed(seed)
        seen = (self._averaged(batch).flatten(0, 2).cpu() for batch in batches)
        cells = _sampled(seen, _MOST_CELLS, dice).double()
        self.centre = cells.mean(dim=0)
        variances, vectors = torch.linalg.eigh((cells - self.centre).T.cov())
        kept = (variances > _LEAST_VARIANCE * variances[-1]).nonzero().flatten()[-_MOST_DIRECTIONS:]
        # Divided by the number of directions: distances of good cells lie about 1, whatever the width.
        scale = (variances[kept] * 2 * len(kept)).rsqrt()
        self.directions = vectors[:, kept] * scale
        white = (cells - self.centre) @ self.directions
        self.memory = white[_centres(white, size, dice)].float()
        self.centre, self.directions = self.centre.float(), self.directions.float()

    def _averaged(self, image: Tensor) -> Tensor:
        """[N, h, h, F], each cell averaged with its eight neighbours."""
        cells = functional.avg_pool2d(
            self.encoder.cells(image), 3, stride=1, padding=1, count_include_pad=False
        )
        return cells.permute(0, 2, 3, 1)

    def _white(self, places: Tensor) -> Tensor:
        return (places - self.centre) @ self.directions


def _sampled(parts: Iterable[Tensor], most: int, dice: torch.Generator) -> Tensor:
    """Up to `most` rows of all parts together, each as likely as any other.

    Every row draws a lot and the highest stay, so that all rows never lie in memory together.
    """
    rows, lots = torch.zeros(0), torch.zeros(0)
    for part in parts:
        rows = torch.cat([rows, part]) if len(rows) else part
        lots = torch.cat([lots, torch.rand(len(part), generator=dice)])
        if len(rows) > most:
            lots, chosen = lots.topk(most)
            rows = rows[chosen]
    return rows


def _centres(rows: Tensor, count: int, dice: torch.Generator) -> Tensor:
    """Indices of up to `count` of the rows [C, G], each the one farthest from all that were chosen."""
    chosen = [int(torch.randint(len(rows), (1,), generator=dice))]
    distances = (rows - rows[chosen[0]]).pow(2).sum(dim=1)
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(distances.argmax()))
        distances = torch.minimum(distances, (rows - rows[chosen[-1]]).pow(2).sum(dim=1))
    return torch.tensor(chosen)
