"""Recipes that write or draw."""

from training.recipes.registry import Recipe

RECIPES = (
    Recipe(
        name="pycode-gpt",
        summary="continue Python source, or any text, with a small decoder transformer",
        modality="generative",
        data="none (the standard library's sources); --data: text file or folder",
        expected_time_s=140,
        config="training.recipes.pycode_gpt:pycode_gpt",
        work="training.tasks.text_generation:TextGenerationWork",
        tiny=(
            "max_steps=20",
            "decoder.width=32",
            "decoder.heads=2",
            "decoder.kv_heads=1",
            "decoder.layers=2",
            "decoder.hidden=48",
            "decoder.context=96",
            "vocabulary=400",
        ),
    ),
    Recipe(
        name="language-model",
        summary="learn any text: a Llama-like or GPT-2-like decoder over bytes, characters or BPE",
        modality="generative",
        data="none (the standard library's sources); --data: text file, JSONL with text, folder",
        expected_time_s=180,
        config="training.recipes.language_model:language_model",
        work="training.tasks.text_generation:TextGenerationWork",
        tiny=(
            "max_steps=20",
            "decoder.family=gpt2",
            "decoder.width=32",
            "decoder.heads=2",
            "decoder.kv_heads=2",
            "decoder.layers=2",
            "decoder.hidden=64",
            "decoder.context=96",
            "vocabulary=400",
            "judged_overlap=0",
        ),
    ),
    Recipe(
        name="digits-vae",
        summary="draw handwritten digits of a requested class",
        modality="generative",
        data="none (scikit-learn digits); --data: image folder or its .tar/.tar.gz",
        expected_time_s=50,
        config="training.recipes.digits_vae:digits_vae",
        work="training.tasks.image_generation:ImageGenerationWork",
        tiny=(
            "max_steps=20",
            "judge_epochs=2",
            "samples_per_class=10",
        ),
    ),
)
