"""How well does `language-id` do on ordinary sentences, which its training data does not hold?

    python -m benchmarks.everyday_sentences [REPOSITORY] [NAME]

Asks the published model about `everyday_sentences.tsv` (text TAB language; written by hand, one or two
sentences a language) and prints every mistake and the share that is right. Far too few sentences for a
gate: the interval is printed with the figure.
"""

import sys
from pathlib import Path

from models.blocks import ClassificationPostprocessing, TextPreprocessing
from models.catalog import default_repository, find_bundle
from models.manifest import MODEL_FILE
from models.transforms.text import TextEncoder, pad_batch
from training.metrics import wilson_interval
from training.predict import onnx_predict

_SENTENCES = Path(__file__).with_suffix(".tsv")


def main(arguments: list[str]) -> None:
    """Print mistakes and figure for the newest version of the model."""
    repository = Path(arguments[0]) if arguments else default_repository()
    bundle = find_bundle(repository, arguments[1] if len(arguments) > 1 else "language-id")
    reading, answering = bundle.manifest.preprocessing, bundle.manifest.postprocessing
    assert isinstance(reading, TextPreprocessing)
    assert isinstance(answering, ClassificationPostprocessing)
    lines = _SENTENCES.read_text(encoding="utf-8").splitlines()
    texts, languages = zip(*(line.split("\t") for line in lines), strict=True)
    rows = TextEncoder(bundle.read_text(reading.tokenizer), reading).encode_batch(texts)
    predict = onnx_predict(bundle.path / MODEL_FILE)
    logits = predict(pad_batch(rows, bundle.manifest.inputs))[answering.output]
    labels = bundle.labels(answering.labels)
    answers = [labels[index] for index in logits.argmax(axis=1)]
    for text, language, answer in zip(texts, languages, answers, strict=True):
        if answer != language:
            print(f"{language} taken for {answer}: {text}")
    right = sum(answer == language for answer, language in zip(answers, languages, strict=True))
    interval = wilson_interval(right, len(texts))
    print(
        f"{bundle.name}/{bundle.version}: {right} of {len(texts)} right "
        f"(95 % interval {interval.low:.2f} – {interval.high:.2f})"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
