"""Simple methods that a text network has to be compared with: what would the cheap way have given?

Used by text classification; printed beside the network's figure, also when the network loses.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.labelled_text import LabelledText

# Beyond this many characters × classes the baseline would take longer than it is worth (about 20 s).
_MOST_CHARACTER_CLASSES = 400_000_000
_PASSES = 5


def tfidf_predictions(
    train: LabelledText, questions: tuple[str, ...], seed: int
) -> NDArray[Any] | None:
    """Labels int64 [N] by TF-IDF of character 1–4-grams and logistic regression; None if too costly.

    The regression is fitted by SGD, with a penalty that shrinks as the rows grow; it is not tuned.
    """
    classes = int(train.labels.max()) + 1
    if sum(map(len, train.texts)) * classes > _MOST_CHARACTER_CLASSES:
        return None
    # Here, because scikit-learn takes a second to import and only evaluation needs it.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier

    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(1, 4), min_df=2, sublinear_tf=True, dtype=np.float32
    )
    features = vectorizer.fit_transform(train.texts)
    model = SGDClassifier(
        loss="log_loss",
        alpha=0.5 / len(train),
        max_iter=_PASSES,
        tol=None,
        random_state=seed,
        n_jobs=-1,
    )
    model.fit(features, train.labels)
    predicted: NDArray[Any] = model.predict(vectorizer.transform(questions))
    return predicted
