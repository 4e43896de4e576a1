"""Cross-validation: how much of a figure is luck of the split? A stage that `folds` asks for.

After the model itself has been judged, a network is trained for each fold on the others, by the same
configuration and seed, and judged on the fold (M. Stone 1974). Mean and deviation go into the manifest
beside the model's own figures; the networks are not published. Folds are made of training and validation
items: the test items stay unseen, and the published model is trained as it is without folds.

A finished fold leaves its figure in the run's folder, `folds/N/fold.json`; `--resume` trains the rest.
The deviation is that of the folds' figures. Their training items overlap, so it is no error of the mean
(Y. Bengio, Y. Grandvalet 2004), and none is claimed.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import UsageError
from models.manifest import Evaluation
from training import predict, train
from training.report import Reporter, figure
from training.runs import RunFolder
from training.work import Work

_RECORD = "fold.json"


def require_folds(work: Work[Any]) -> None:
    """Raises UsageError, before any training, where `folds` is set and the work has none."""
    if work.config.folds and type(work).fold is Work.fold:
        work.fold(0, work.config.folds)


def cross_validate(
    work: Work[Any], folder: RunFolder, report: Reporter, resume_command: str
) -> tuple[Evaluation, ...]:
    """Mean and deviation of the main metric over the folds. Raises Interrupted, TrainingFailed."""
    count = work.config.folds
    judged = []
    for number in range(count):
        place = folder.fold(number + 1)
        evaluation = _recorded(place, work)
        if evaluation is None:
            report.line(f"fold {number + 1} of {count}")
            evaluation = _judge(work.fold(number, count), place, report, resume_command)
            _record(place, work, evaluation)
        judged.append(evaluation)
    return _summary(judged, report)


def _judge(fold: Work[Any], place: RunFolder, report: Reporter, resume_command: str) -> Evaluation:
    train.seed_everything(fold.config.seed)
    place.path.mkdir(parents=True, exist_ok=True)
    trained = train.train(
        fold, place, report, resume=place.last.is_file(), resume_command=resume_command
    )
    plan = fold.export_plan(trained.module)
    ask = fold.torch_predict(plan) or predict.torch_predict(plan, trained.device)
    fold.calibrate(ask)
    return fold.evaluate(ask)[0]


def _summary(judged: list[Evaluation], report: Reporter) -> tuple[Evaluation, ...]:
    main, count = judged[0], len(judged)
    values = np.array([evaluation.value for evaluation in judged])
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    report.table(
        ("fold", main.metric, "n"),
        (
            (str(number), figure(evaluation.value), f"{evaluation.samples:,}")
            for number, evaluation in enumerate(judged, start=1)
        ),
    )
    report.line(
        f"{main.metric} {figure(mean)} ± {figure(deviation)} "
        f"(mean ± standard deviation of {count} folds)"
    )
    common = {
        "dataset": main.dataset,
        "split": f"{count} folds of train and validation",
        "samples": sum(evaluation.samples for evaluation in judged),
    }
    return (
        Evaluation(
            metric=f"{main.metric}-mean-of-folds",
            value=mean,
            higher_is_better=main.higher_is_better,
            **common,
        ),
        Evaluation(
            metric=f"{main.metric}-deviation-of-folds",
            value=deviation,
            higher_is_better=False,
            **common,
        ),
    )


def _recorded(place: RunFolder, work: Work[Any]) -> Evaluation | None:
    """What this fold came to in an earlier part of this run; None where it has to be trained."""
    path = place.path / _RECORD
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text())
        if document["length"] != _length(work):  # --resume with more epochs
            return None
        return Evaluation.model_validate(document["evaluation"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is damaged ({error}): start the run without --resume") from error


def _record(place: RunFolder, work: Work[Any], evaluation: Evaluation) -> None:
    """Checkpoints have served: of a large network they would fill the disk, fold by fold."""
    document = {"length": _length(work), "evaluation": evaluation.model_dump(mode="json")}
    path: Path = place.path / _RECORD
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=2) + "\n")
    fresh.replace(path)
    place.last.unlink(missing_ok=True)
    place.best.unlink(missing_ok=True)


def _length(work: Work[Any]) -> list[int]:
    return [work.config.epochs, work.config.max_steps]
