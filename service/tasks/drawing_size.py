"""How large a drawn or redrawn picture is given out: whole multiples of what the graph draws."""

import re

from models.errors import InputError, ManifestInvalid
from models.manifest import Manifest

_MAX_ENLARGEMENT = 64
# Of one answer: what is written as a PNG in about half a second.
_MAX_PIXELS = 2**24
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


class PictureSize:
    """The graph's own size, and what it may be enlarged to. Raises ManifestInvalid for an output whose last
    two axes are no numbers."""

    def __init__(self, manifest: Manifest, output: str, default: int) -> None:
        spec = next((s for s in manifest.outputs if s.name == output), None)
        height, width = spec.shape[-2:] if spec is not None and len(spec.shape) == 4 else ("", "")
        if not isinstance(height, int) or not isinstance(width, int):
            raise ManifestInvalid(
                f"{manifest.task}: output {output!r} must be there, of a fixed height and width"
            )
        self.width, self.height = width, height
        self._default = min(default, self.most())

    def most(self, frames: int = 1) -> int:
        """The largest enlargement for so many pictures side by side."""
        pixels = self.width * self.height * frames
        return max(1, min(_MAX_ENLARGEMENT, int((_MAX_PIXELS / pixels) ** 0.5)))

    def enlargement(self, size: str | None, frames: int = 1) -> int:
        """The factor that `size` asks for ("WIDTHxHEIGHT", "auto" or none). Raises InputError."""
        most = self.most(frames)
        if size is None or size == "auto":
            return min(self._default, most)
        match = _SIZE.fullmatch(size)
        if match:
            factor, rest = divmod(int(match[1]), self.width)
            if rest == 0 and int(match[2]) == self.height * factor and 1 <= factor <= most:
                return factor
        raise InputError(
            f"size {size!r} is not possible: take {self.width}x{self.height} or a whole multiple of it "
            f"up to {self.width * most}x{self.height * most}"
        )
