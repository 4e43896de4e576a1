"""The demo's models: one recipe each, with the settings that make it a matter of seconds.

The recipes' own defaults are for a model worth keeping; twelve of those would take a quarter of an hour.
Here there are fewer and smaller pictures, fewer texts and passes, and larger steps instead. Each run
prints its figures on data it has not seen; the floors are those of these small models.
The tests of the documentation and the front door of the demo both read this table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoModel:
    """`recipe` is the model's name too; `settings` are `slipway train`'s `--set`, `seconds` on two cores."""

    recipe: str
    seconds: int
    settings: tuple[str, ...] = ()


_SMALL_SCENES = (
    "scenes.side=64",
    "scenes.train=800",
    "scenes.validation=50",
    "scenes.test=150",
    "gates.accuracy_floor=none",
)

# Quick ones first: there is something to see soon.
DEMO = (
    DemoModel("digits", 30),
    DemoModel(
        "entities",
        10,
        (
            "sentences.train=2000",
            "epochs=2",
            "recurrent.units=64",
            "recurrent.layers=1",
            "optim.learning_rate=0.006",
        ),
    ),
    DemoModel("sentences", 10, ("paraphrases.train=3000", "optim.learning_rate=0.004")),
    DemoModel("visual-anomaly", 12),
    DemoModel("answers", 12),
    DemoModel("reranker", 12),
    DemoModel("image-embedding", 12),
    DemoModel("segmentation", 12, _SMALL_SCENES),
    DemoModel("detection", 12, _SMALL_SCENES),
    DemoModel("language-id", 25),
    DemoModel("digits-vae", 25),
    DemoModel("pycode-gpt", 96),
)
