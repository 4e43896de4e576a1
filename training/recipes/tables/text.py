"""Recipes that read text."""

from training.recipes.registry import Recipe

# Thousands of texts and not millions: strong dropout, few passes. Chosen on the development rows of 6,920
# sentences with two classes.
_REGULAR = (
    "vocabulary=8192",
    "merge_dropout=0",
    "dropout=0.5",
    "label_smoothing=0.1",
    "optim.weight_decay=0.1",
)
_FEW = (*_REGULAR, "epochs=4", "token_dropout=0.3", "optim.learning_rate=0.003")
_RECURRENT = (*_FEW, "recurrent.width=128")
_TRANSFORMER = (
    *_REGULAR,
    "epochs=6",
    "token_dropout=0.1",
    "optim.learning_rate=0.002",
    "transformer.width=96",
    "transformer.inner=192",
)
_FINE_TUNED = (
    "epochs=3",
    "batch_size=32",
    "cpu_threads=0",
    "precision=bf16",
    "dropout=0.1",
    "pretrained.layer_decay=0.9",
)
_SMALL = ("recurrent.width=8", "recurrent.units=8")
_TABLES = "--data: TSV, CSV or JSONL with text and label"


def _classifier(
    network: str, summary: str, seconds: int, own: tuple[str, ...], tiny: tuple[str, ...]
) -> Recipe:
    """One network on labelled texts. With `own` data, of which there is never enough, regularised."""
    sentences = "CLDR phrases" if network == "bag" else "generated opinions"
    return Recipe(
        name=f"text-{network}",
        summary=f"classify texts: {summary}",
        modality="text",
        data=f"none ({sentences}); {_TABLES}",
        expected_time_s=seconds,
        config=f"training.recipes.texts:text_{network}",
        work="training.tasks.text_classification:TextClassificationWork",
        own_data=("gates.accuracy_floor=none", *own),
        tiny=(
            "max_steps=10",
            "opinions.train=120",
            "opinions.validation=20",
            "opinions.test=30",
            "phrases.train=20",
            "phrases.validation=3",
            "phrases.test=5",
            "vocabulary=300",
            "max_tokens=64",
            "baseline=false",
            *tiny,
        ),
    )


def _tagger(name: str, summary: str, seconds: int, own: tuple[str, ...]) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        modality="text",
        data="none (generated sentences); --data: CoNLL columns, a file or train/dev/test files",
        expected_time_s=seconds,
        config=f"training.recipes.entities:{name.replace('-', '_')}",
        work="training.tasks.token_classification:TokenClassificationWork",
        own_data=("gates.accuracy_floor=none", *own),
        tiny=(
            "max_steps=10",
            "sentences.train=60",
            "sentences.validation=10",
            "sentences.test=20",
            "vocabulary=300",
            "max_tokens=64",
            *_SMALL,
        ),
    )


def _answerer(name: str, summary: str, seconds: int, own: tuple[str, ...]) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        modality="text",
        data="none (generated facts); --data: SQuAD JSON, a file or train/dev/test files",
        expected_time_s=seconds,
        config=f"training.recipes.answers:{name.replace('-', '_')}",
        work="training.tasks.question_answering:QuestionAnsweringWork",
        own_data=("gates.accuracy_floor=none", *own),
        tiny=(
            "max_steps=10",
            "facts.train=60",
            "facts.validation=10",
            "facts.test=20",
            "vocabulary=300",
            "max_tokens=128",
            "stride_tokens=32",
            "reader_units=8",
            *_SMALL,
        ),
    )


RECIPES = (
    Recipe(
        name="language-id",
        summary="name the language of a phrase, or classify any labelled text",
        modality="text",
        data="none (CLDR phrases in Babel); --data: TSV, CSV or JSONL with text and label",
        expected_time_s=45,
        config="training.recipes.language_id:language_id",
        work="training.tasks.text_classification:TextClassificationWork",
        # Whole words matter more there, and there are fewer of them: more tokens, gentler steps.
        own_data=(
            "gates.accuracy_floor=none",
            "vocabulary=8192",
            "merge_dropout=0",
            "epochs=5",
            "batch_size=64",
            "dropout=0.3",
            "optim.learning_rate=0.002",
        ),
        tiny=(
            "max_steps=20",
            "phrases.train=40",
            "phrases.validation=5",
            "phrases.test=10",
            "baseline=false",
        ),
    ),
    _classifier("bag", "bag of embeddings, the least to beat", 30, _FEW, ("bag.width=8",)),
    _classifier("cnn", "TextCNN", 25, _FEW, ("cnn.width=8", "cnn.filters=4")),
    _classifier("rnn", "Elman's recurrent network", 30, _RECURRENT, _SMALL),
    _classifier("lstm", "LSTM in both directions", 30, _RECURRENT, _SMALL),
    _classifier("gru", "GRU in both directions", 30, _RECURRENT, _SMALL),
    _classifier(
        "transformer",
        "a transformer encoder from scratch",
        45,
        _TRANSFORMER,
        ("transformer.width=16", "transformer.layers=1", "transformer.heads=2"),
    ),
    _classifier(
        "pretrained",
        "fine-tune the transformers checkpoint that --pretrained names",
        30,
        (*_FINE_TUNED, "optim.learning_rate=0.0001"),
        (),
    ),
    _tagger(
        "entities",
        "find people, places and organisations in text, or anybody's tagged words",
        50,
        # Real sentences have more words, and no name in them was made of syllables.
        ("vocabulary=16384", "dropout=0.4"),
    ),
    _tagger(
        "entities-pretrained",
        "find entities with the transformers checkpoint that --pretrained names",
        40,
        # Entities are still found better when the loss on words no longer falls.
        (*_FINE_TUNED, "optim.learning_rate=0.0004", "max_tokens=256", "keep=last"),
    ),
    _answerer(
        "answers",
        "find the answer to a question in a passage, or that there is none",
        90,
        # Real passages are longer and of more words.
        ("vocabulary=16384", "max_tokens=384", "stride_tokens=128"),
    ),
    _answerer(
        "answers-pretrained",
        "find answers with the transformers checkpoint that --pretrained names",
        60,
        (*_FINE_TUNED, "optim.learning_rate=0.0001", "max_tokens=384", "stride_tokens=128"),
    ),
    Recipe(
        name="sentences",
        summary="vectors of texts that point the same way when texts belong together",
        modality="text",
        data="none (generated paraphrases); --data: pairs, scored pairs or triplets, TSV/CSV/JSONL",
        expected_time_s=30,
        config="training.recipes.pairs:sentences",
        work="training.tasks.sentence_embedding:SentenceEmbeddingWork",
        own_data=("gates.accuracy_floor=none", "vocabulary=16384"),
        tiny=(
            "max_steps=10",
            "epochs=1",
            "paraphrases.train=96",
            "paraphrases.validation=8",
            "paraphrases.test=16",
            "vocabulary=300",
            "batch_size=8",
            "max_tokens=48",
            "transformer.width=16",
            "transformer.layers=1",
            "transformer.heads=2",
            "transformer.inner=16",
            "matryoshka=8",
        ),
    ),
    Recipe(
        name="reranker",
        summary="score two texts read together: how well does the second answer the first",
        modality="text",
        data="none (generated paraphrases); --data: pairs, scored pairs or triplets, TSV/CSV/JSONL",
        expected_time_s=100,
        config="training.recipes.pairs:reranker",
        work="training.tasks.text_similarity:TextSimilarityWork",
        own_data=("gates.accuracy_floor=none", "vocabulary=16384", "dropout=0.1"),
        tiny=(
            "max_steps=10",
            "epochs=1",
            "paraphrases.train=96",
            "paraphrases.validation=8",
            "paraphrases.test=16",
            "candidates=4",
            "vocabulary=300",
            "batch_size=8",
            "max_tokens=64",
            "transformer.width=16",
            "transformer.layers=1",
            "transformer.heads=2",
            "transformer.inner=16",
        ),
    ),
)
