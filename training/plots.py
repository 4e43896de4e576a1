"""PNG pictures of a run: confusion matrix, loss curve, reliability diagram, sheets of images and of texts.

Called by the pipeline and by the `plots` of each kind of work. Figures are drawn without pyplot: no
display, no global state, nothing left open. Labels come from people's data, so `$` is never read as
mathematics and a character the font lacks becomes a box instead of a warning.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.metrics import calibration_bins

Array = NDArray[Any]

_DOTS_PER_INCH = 120
_MOST_COUNTS = 24  # beyond this many classes the numbers in the cells cannot be read
_MOST_NAMES = 120
_SHEET_COLUMNS = 10
_SHEET_CHARACTERS = 92  # in a line of a text sheet


def confusion_matrix(path: Path, matrix: Array, labels: Sequence[str]) -> None:
    """`matrix` int [C, C], rows true and columns predicted; colour is the share of the row."""
    classes = len(labels)
    side = min(max(4.0, 1.6 + 0.28 * classes), 18.0)
    figure, axes = _figure(side, side)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    if classes <= _MOST_NAMES:
        axes.set_xticks(range(classes), labels, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(classes), labels, fontsize=7, parse_math=False)
    if classes <= _MOST_COUNTS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, size=7)
    axes.set(xlabel="predicted", ylabel="true")
    _save(figure, path)


def loss_curve(path: Path, history: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """One line for each entry: name → (optimiser step, loss). Entries without points are left out."""
    figure, axes = _figure(6.4, 4.0)
    for name, points in history.items():
        if points:
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, label=name, marker="o" if len(points) < 30 else None)
    axes.set(xlabel="optimiser step", ylabel="loss")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    _save(figure, path)


def reliability_diagram(
    path: Path,
    probabilities: Array,
    y_true: Array,
    bins: int = 15,
    uncalibrated: Array | None = None,
) -> None:
    """How often the model is right when it claims p; `probabilities` [N, C]. On the diagonal: honest.

    `uncalibrated`, also [N, C], is drawn beside it: what it claimed before its temperature was fitted.
    """
    counts, confidence, share = calibration_bins(probabilities, y_true, bins)
    filled = counts > 0
    figure, axes = _figure(4.6, 4.6)
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="honest")
    axes.bar(
        (np.arange(bins) + 0.5) / bins,
        counts / max(int(counts.sum()), 1),
        width=1 / bins,
        alpha=0.25,
        label="share of items",
    )
    if uncalibrated is not None:
        before, claimed, right = calibration_bins(uncalibrated, y_true, bins)
        known = before > 0
        (line,) = axes.plot(claimed[known], right[known], "o:", label="before calibration")
        line.set(color="tab:orange", markersize=3)
    axes.plot(confidence[filled], share[filled], color="tab:blue", marker="o", label="model")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    _save(figure, path)


def class_bars(path: Path, labels: Sequence[str], values: Array, title: str) -> None:
    """A bar in 0–1 for each class, worst first; classes whose value is NaN are left out."""
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-values[known], kind="stable")][-_MOST_NAMES:]  # drawn from below
    figure, axes = _figure(6.4, min(max(2.0, 0.8 + 0.22 * len(order)), 24.0))
    axes.barh(range(len(order)), values[order])
    names = [labels[label] for label in order]
    axes.set_yticks(range(len(order)), names, fontsize=7, parse_math=False)
    axes.set(xlabel=title, xlim=(0, 1))
    axes.grid(axis="x", alpha=0.3)
    _save(figure, path)


def histograms(
    path: Path, parts: Mapping[str, Array], threshold: float | None, title: str, bins: int = 40
) -> None:
    """How the values of each part [N] are spread, as shares of the part, and where the line is drawn."""
    figure, axes = _figure(6.4, 3.6)
    edges = np.histogram_bin_edges(np.concatenate(list(parts.values())), bins)
    for name, values in parts.items():
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, list(edges), weights=weights, alpha=0.6, label=name)
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.set(xlabel=title, ylabel="share")
    axes.legend()
    _save(figure, path)


def image_sheet(path: Path, images: Sequence[Array], captions: Sequence[str]) -> None:
    """A sheet of pictures, each float [C, H, W] in 0–1 with C 1 or 3, under its caption."""
    columns = max(1, min(_SHEET_COLUMNS, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(1.1 * columns, 1.35 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        pixels = np.clip(image, 0.0, 1.0).transpose(1, 2, 0)
        axes.imshow(
            pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1
        )
        axes.set_title(caption, fontsize=7, parse_math=False)
    _save(figure, path)


def montage(path: Path, rows: Sequence[Sequence[Array] | Array], captions: Sequence[str]) -> None:
    """Rows of equally many pictures, each float [C, H, W] in 0–1, as one; a caption beside each row.

    Much quicker than a sheet, which has axes for each picture.
    """
    framed = [
        [np.pad(image, ((0, 0), (1, 1), (1, 1)), constant_values=0.5) for image in row]
        for row in rows
    ]
    whole = np.concatenate([np.concatenate(row, axis=2) for row in framed], axis=1)
    height, width = framed[0][0].shape[1:]
    figure, axes = _figure(0.6 * len(rows[0]) + 1.0, 0.6 * height / width * len(rows) + 0.3)
    pixels = np.clip(whole, 0.0, 1.0).transpose(1, 2, 0)
    axes.imshow(
        pixels[:, :, 0] if pixels.shape[2] == 1 else pixels,
        cmap="gray", vmin=0, vmax=1, interpolation="nearest",
    )  # fmt: skip
    places = [(row + 0.5) * height - 0.5 for row in range(len(rows))]
    axes.set_yticks(places, captions, fontsize=7, parse_math=False)
    axes.set_xticks([])
    axes.tick_params(length=0)
    _save(figure, path)


def text_sheet(path: Path, texts: Sequence[str]) -> None:
    """Texts one below the other in a typewriter face, long lines wrapped."""
    blocks = ["\n".join(_wrapped(text)) for text in texts]
    lines = sum(block.count("\n") + 3 for block in blocks)
    figure = Figure(figsize=(7.0, 0.16 * lines + 0.3))
    sheet = f"\n\n{'─' * _SHEET_CHARACTERS}\n".join(blocks)
    figure.text(0.03, 0.98, sheet, va="top", family="monospace", fontsize=8, parse_math=False)
    _save(figure, path)


def _wrapped(text: str) -> Iterator[str]:
    for line in text.expandtabs(4).splitlines():
        yield line[:_SHEET_CHARACTERS]
        for start in range(_SHEET_CHARACTERS, len(line), _SHEET_CHARACTERS):
            yield "  " + line[start : start + _SHEET_CHARACTERS]


def _figure(width_inches: float, height_inches: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})
