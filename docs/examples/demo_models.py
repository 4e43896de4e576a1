"""The demo's models: a recipe for each kind of work, with settings that make it a matter of seconds.

The recipes' own defaults are for a model worth keeping; fourteen of those would take a quarter of an hour. So
here some learn from fewer and smaller examples, in fewer passes and larger steps. Each run still prints its
figures on data that it has not seen and is refused below its floor. The demo trains what this table says, and
the tests of the documentation ask models of these recipes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoModel:
    """`recipe` is the model's name too; `settings` are what `slipway train --set` takes."""

    recipe: str
    settings: tuple[str, ...] = ()


# Five shapes on small pictures: with ten digits beside them it takes far longer to tell them apart. As many
# can be drawn as are wanted, so none is changed at random and shown again and again.
_SMALL_SCENES = (
    "scenes.things=shapes",
    "scenes.validation=50",
    "scenes.test=150",
    "augment.smallest=1",
    "augment.largest=1",
    "augment.shift=0",
    "augment.contrast=0",
    "augment.colour=0",
)

# Several learn at a time, so the one that takes longest goes first; quick ones follow, that there is soon
# something to see.
DEMO = (
    DemoModel("pycode-gpt", ("epochs=3",)),
    DemoModel(
        "entities",
        (
            "sentences.train=2000",
            "epochs=2",
            "recurrent.units=64",
            "recurrent.layers=1",
            "optim.learning_rate=0.006",
        ),
    ),
    DemoModel("sentences", ("paraphrases.train=3000", "optim.learning_rate=0.004")),
    DemoModel(
        "reranker",
        (
            "paraphrases.train=3000",
            "paraphrases.test=300",
            "candidates=10",
            "epochs=2",
            "transformer.width=48",
            "transformer.inner=96",
            "optim.learning_rate=0.004",
            "gates.accuracy_floor=0.85",
        ),
    ),
    DemoModel(
        "answers",
        (
            "facts.train=1800",
            "facts.test=400",
            "epochs=3",
            "recurrent.units=32",
            "reader_units=32",
            "optim.learning_rate=0.006",
        ),
    ),
    DemoModel(
        "image-embedding",
        (
            "emblems.identities=120",
            "emblems.validation=30",
            "emblems.test=40",
            "emblems.pictures=8",
            "epochs=16",
            "batch_size=64",
            "resnet.width=16",
            "optim.learning_rate=0.005",
            "gates.accuracy_floor=0.65",
        ),
    ),
    DemoModel("digits"),
    DemoModel("digits-vae", ("epochs=80", "judge_epochs=12")),
    DemoModel("language-id"),
    DemoModel(
        "visual-anomaly",
        (
            "surfaces.train=160",
            "surfaces.test=100",
            "surfaces.bad=100",
            "epochs=16",
            "batch_size=8",
            "width=16",
            "optim.learning_rate=0.004",
            "gates.accuracy_floor=0.9",
        ),
    ),
    DemoModel(
        "segmentation",
        (
            *_SMALL_SCENES,
            "scenes.side=48",
            "scenes.train=1000",
            "epochs=3",
            "batch_size=4",
            "optim.learning_rate=0.006",
            "gates.accuracy_floor=0.6",
        ),
    ),
    DemoModel(
        "detection",
        (
            *_SMALL_SCENES,
            "scenes.side=64",
            "scenes.train=2400",
            "epochs=5",
            "batch_size=16",
            "width=16",
            "features=32",
            "levels=1",
            "precision=bf16",
            "optim.learning_rate=0.006",
            "gates.accuracy_floor=0.55",
        ),
    ),
    DemoModel("translation", ("generated.train=3000", "epochs=6", "gates.accuracy_floor=50")),
    DemoModel("chat", ("epochs=5", "gates.accuracy_floor=0.4")),
)
