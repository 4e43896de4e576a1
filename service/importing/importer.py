"""The stages in order: read → copy → try → derive → draft → publish. All or nothing."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from models.bundle import Bundle
from models.errors import IntegrityError
from models.files import read_plain
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE, ManifestDraft
from models.naming import require_name
from models.publish import publish
from service.importing.derive import Derived, check, derive
from service.importing.draft import LABELS_FILE, TOKENIZER_FILE, ImportOptions, make_draft
from service.importing.errors import ImportRefused
from service.importing.external import copy_weights
from service.importing.graph import Facts, read_facts
from service.importing.trial import Arrays, Trial

_LARGEST_EXAM_BYTES = 8 << 20
_LARGEST_LABELS_BYTES = 4 << 20


@dataclass(frozen=True)
class Imported:
    """The published bundle and what was found on the way, for the summary."""

    bundle: Bundle
    facts: Facts
    derived: Derived


def import_onnx(
    file: Path, repository: Path, options: ImportOptions, version: int | None = None
) -> Imported:
    """As the next version, or as `version`. Raises ImportRefused, PublishError, UsageError (the name)."""
    require_name(options.name)
    with tempfile.TemporaryDirectory(prefix="slipway-import-") as scratch:
        staged = Path(scratch)
        facts = stage(file, staged)
        trial = Trial(staged)
        sample = None if options.sample is None else _read_sample(options.sample)
        derived = derive(facts, trial, sample)
        labels = _stage_texts(staged, options)
        try:
            derived, draft = make_draft(derived, trial, options, labels)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ImportRefused(f"{where}: {first['msg']}") from error
        _stage_exam(staged, derived, draft)
        return Imported(publish(repository, draft, staged, version=version), facts, derived)


def stage(file: Path, staged: Path) -> Facts:
    """Copy graph and weights to `staged`, checked. Raises ImportRefused."""
    try:
        # Named through a link is fine (download caches do that); what it leads to must be a plain file.
        real = file.resolve(strict=True)
        model = memoryview(read_plain(real.parent, real.name))
    except (OSError, RuntimeError) as error:
        raise ImportRefused(
            f"{file.name} cannot be read: {getattr(error, 'strerror', error)}"
        ) from error
    except IntegrityError as error:
        raise ImportRefused(f"{error.message}") from error
    facts = read_facts(model)
    check(facts)
    (staged / MODEL_FILE).write_bytes(copy_weights(model, facts, real.parent, staged))
    return facts


def _stage_texts(staged: Path, options: ImportOptions) -> list[str]:
    """The labels; tokenizer and labels lie in `staged` then."""
    if options.tokenizer is not None:
        (staged / TOKENIZER_FILE).write_bytes(_read(options.tokenizer))
    if options.labels is None:
        return []
    data = _read(options.labels, _LARGEST_LABELS_BYTES)
    try:
        labels = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ImportRefused(f"{options.labels.name} is not a text in UTF-8") from None
    if not all(label.strip() for label in labels):
        raise ImportRefused(
            f"{options.labels.name} has an empty line; a label a line, in class order"
        )
    (staged / LABELS_FILE).write_text("\n".join(labels) + "\n", "utf-8")
    return labels


def _stage_exam(staged: Path, derived: Derived, draft: ManifestDraft) -> None:
    golden = derived.golden
    if golden is None:
        return
    size_bytes = sum(array.nbytes for array in (*golden.inputs.values(), *golden.outputs.values()))
    is_free = draft.inputs[0].batch_axis == 0 and not derived.allowed_batch_sizes
    if size_bytes > _LARGEST_EXAM_BYTES and is_free:  # one row proves a forward pass as well
        golden = Golden(
            {name: array[:1] for name, array in golden.inputs.items()},
            {name: array[:1] for name, array in golden.outputs.items()},
        )
    golden.save(staged / GOLDEN_FILE)


def _read(path: Path, limit_bytes: int | None = None) -> bytes:
    try:
        real = path.resolve(strict=True)
        return read_plain(real.parent, real.name, limit_bytes)
    except (OSError, RuntimeError) as error:
        raise ImportRefused(
            f"{path.name} cannot be read: {getattr(error, 'strerror', error)}"
        ) from error
    except IntegrityError as error:
        raise ImportRefused(error.message) from error


def _read_sample(path: Path) -> Arrays:
    """Arrays by input name; strings as fixed-width unicode. Nothing that could run code is read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib, numpy: many kinds become one
        raise ImportRefused(f"{path.name} is not an .npz file of plain arrays") from error
    return {n: a.astype(object) if a.dtype.kind == "U" else a for n, a in found.items()}
