"""Recipes that read text."""

from training.recipes.registry import Recipe

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
    Recipe(
        name="entities",
        summary="find people, places and organisations in text, or anybody's tagged words",
        modality="text",
        data="none (generated sentences); --data: CoNLL columns, a file or train/dev/test files",
        expected_time_s=60,
        config="training.recipes.entities:entities",
        work="training.tasks.token_classification:TokenClassificationWork",
        # Real sentences have more words, and no name in them was made of syllables.
        own_data=("gates.accuracy_floor=none", "vocabulary=16384", "dropout=0.4"),
        tiny=(
            "max_steps=20",
            "sentences.train=60",
            "sentences.validation=10",
            "sentences.test=20",
            "vocabulary=300",
            "recurrent.width=16",
            "recurrent.units=8",
            "recurrent.layers=1",
        ),
    ),
)
