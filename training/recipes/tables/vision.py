"""Recipes that read pictures."""

from training.recipes.registry import Recipe

RECIPES = (
    Recipe(
        name="digits",
        summary="recognise handwritten digits, or the classes of any image folder",
        modality="vision",
        data="none (scikit-learn digits); --data: image folder or its .tar/.tar.gz",
        expected_time_s=35,
        config="training.recipes.digits:digits",
        work="training.tasks.image_classification:ImageClassificationWork",
        own_data=(
            "gates.accuracy_floor=none",
            "image.fit=stretch",
            "epochs=10",
            "batch_size=128",
            "cpu_threads=0",
            "residual.width=16",
        ),
        tiny=("max_steps=20",),
    ),
)
