"""The model card, card.md: what a person should know before using the model.

Made from the manifest's own record, so it cannot say anything else than the manifest; the kind of work
adds tables that are too long for one. Written before publication, because the card itself is one of the
files whose checksum is published.
"""

from collections.abc import Iterable, Sequence

from models.manifest import ManifestDraft, TensorSpec, Variant
from models.sizes import human_bytes
from training.report import evaluation_row, figure, lost_to
from training.work import CardTable

_VARIANTS = "## Variants\n\n"


def render(
    draft: ManifestDraft,
    data: dict[str, str],
    pictures: Sequence[str],
    tables: Sequence[CardTable] = (),
) -> str:
    """Markdown. `data` is the work's summary, `pictures` are files below the bundle, `tables` come after
    the figures."""
    sections = [
        f"# {draft.name}\n\n{draft.description}".rstrip(),
        "## What it is\n\n" + _facts(draft),
        "## Data\n\n" + _table(("part", "content"), data.items()),
        "## Figures\n\n" + _evaluation(draft),
        *(_section(table) for table in tables),
        "## Gates\n\n" + _gates(draft),
        _VARIANTS + _variants(draft),
        "## Limits\n\n" + _limits(draft),
        "## Where it comes from\n\n" + _provenance(draft),
    ]
    if pictures:
        sections.append("## Plots\n\n" + "\n\n".join(f"![{name}]({name})" for name in pictures))
    return "\n\n".join(sections) + "\n"


def with_variants(card: str, draft: ManifestDraft) -> str:
    """A rendered card whose section on variants says what `draft` says; a card without one gets it."""
    before, heading, rest = card.partition(_VARIANTS)
    if not heading:
        return f"{card.rstrip()}\n\n{_VARIANTS}{_variants(draft)}\n"
    _, next_heading, after = rest.partition("\n## ")
    end = f"\n{next_heading}{after}" if next_heading else "\n"
    return f"{before}{heading}{_variants(draft)}{end}"


def _facts(draft: ManifestDraft) -> str:
    rows = [
        ("task", draft.task),
        ("inputs", "; ".join(_tensor(spec) for spec in draft.inputs)),
        ("outputs", "; ".join(_tensor(spec) for spec in draft.outputs)),
        ("preprocessing", draft.preprocessing.kind),
        ("postprocessing", draft.postprocessing.kind),
        ("precision", draft.precision),
        ("temperature", figure(draft.temperature)),
        ("largest batch", str(draft.batching.max_batch_size)),
    ]
    return _table(("", ""), rows)


def _evaluation(draft: ManifestDraft) -> str:
    if not draft.evaluation:
        return "None were measured here."
    head = ("metric", "value", "95 % interval", "items", "split", "baselines")
    return _table(head, (evaluation_row(row) for row in draft.evaluation))


def _section(table: CardTable) -> str:
    parts = (f"## {table.title}", table.note, _table(table.head, table.rows))
    return "\n\n".join(part for part in parts if part)


def _gates(draft: ManifestDraft) -> str:
    rows = [
        (
            gate.name,
            figure(gate.measured),
            f"{gate.comparison} {figure(gate.limit)}",
            "passed" if gate.passed else "failed",
        )
        for gate in draft.gates
    ]
    return _table(("gate", "measured", "limit", "verdict"), rows)


def _variants(draft: ManifestDraft) -> str:
    if not draft.variants:
        return f"None beside {draft.precision}."
    rows = [
        (
            f"{variant.runtime} {variant.precision}",
            variant.provider,
            human_bytes(variant.size_bytes) if variant.file else "the same file",
            _delta(variant),
            figure(variant.max_difference),
            ", ".join(f"{size}: {ms:.2f} ms" for size, ms in variant.latency_ms.items()),
            ", ".join(f"{size}: {rate:,.0f}" for size, rate in variant.throughput.items()) or "–",
            "alone" if not variant.is_row_independent else "together",
        )
        for variant in draft.variants
    ]
    head = (
        "variant",
        "on",
        "size",
        "Δ metric",
        "max |Δ output|",
        "median by batch",
        "items/s by batch",
        "items run",
    )
    machines = dict.fromkeys(variant.hardware for variant in draft.variants)
    measured = "\n".join(f"Measured on {machine}." for machine in machines)
    return f"{_table(head, rows)}\n\n{measured}"


def _delta(variant: Variant) -> str:
    interval = variant.accuracy_interval
    around = f" ({interval.low:+.4f} – {interval.high:+.4f})" if interval else ""
    return f"{variant.accuracy_delta:+.4f}{around}"


def _limits(draft: ManifestDraft) -> str:
    main = draft.evaluation[0] if draft.evaluation else None
    lines = []
    if main is not None:
        lines.append(
            f"- The figures hold for {main.dataset} ({main.split}, {main.samples:,} items) and data "
            "drawn like it; nothing was measured on other data."
        )
    lines += [f"- {sentence}" for row in draft.evaluation for sentence in lost_to(row)]
    lines.append("- It answers every input, also those unlike anything it was trained on.")
    if draft.postprocessing.kind == "classification":
        lines.append("- It knows only its own classes and always names one of them.")
    return "\n".join(lines)


def _provenance(draft: ManifestDraft) -> str:
    origin = draft.provenance
    if origin is None:
        return "Unknown."
    versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
    was_trained = bool(origin.duration_s)
    rows = [
        ("recipe", origin.recipe),
        *([("seed", str(origin.seed))] if was_trained else []),
        ("data sha256", origin.data_sha256),
        ("commit", origin.git_commit or "unknown"),
        *([("training time", f"{origin.duration_s:.1f} s")] if was_trained else []),
        ("versions", versions),
    ]
    settings = "\n".join(f"{key} = {value}" for key, value in _flat(origin.config))
    return f"{_table(('', ''), rows)}\n\n```\n{settings}\n```"


def _flat(config: dict[str, object], prefix: str = "") -> Iterable[tuple[str, object]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _tensor(spec: TensorSpec) -> str:
    return f"`{spec.name}` {spec.dtype.value} [{', '.join(str(axis) for axis in spec.shape)}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', '∣') for cell in row)} |" for row in rows]
    return "\n".join(lines)
