"""A text-to-text bundle: bytes in, bytes out."""

from pathlib import Path

from models.blocks import GenerationPostprocessing, SourceTextPreprocessing
from models.bundle import Bundle
from models.datatypes import DataType
from models.manifest import MODEL_FILE, Batching, ManifestDraft, TensorSpec
from models.publish import publish
from service.generation.encoder_graph import ENCODER_FILE
from tests.service.bundles import byte_tokenizer

SOURCE_TOKENS, CONTEXT_TOKENS, START = 80, 32, 0
STOPS = tuple(range(1, 33))


def translator_bundle(
    repository: Path, name: str = "translator", graphs: Path | None = None, prefix: str = ""
) -> Bundle:
    """Answers begin with byte token 0 and end with any of STOPS. `graphs`: a folder that has both; without
    it they are never to be opened."""
    staged = repository.parent / f"staged-{name}"
    staged.mkdir(parents=True, exist_ok=True)
    for file in (MODEL_FILE, ENCODER_FILE):
        data = b"never opened" if graphs is None else (graphs / file).read_bytes()
        (staged / file).write_bytes(data)
    (staged / "tokenizer.json").write_text(byte_tokenizer())
    ids = TensorSpec(name="ids", dtype=DataType.INT64, shape=("batch", "sequence"))
    logits = TensorSpec(name="logits", dtype=DataType.FLOAT, shape=("wanted", 256), batch_axis=None)
    draft = ManifestDraft(
        name=name,
        task="text-to-text",
        runner="generation",
        inputs=(ids,),
        outputs=(logits,),
        preprocessing=SourceTextPreprocessing(
            max_source_tokens=SOURCE_TOKENS,
            context_tokens=CONTEXT_TOKENS,
            source_prefix=prefix,
            decoder_start_token_id=START,
        ),
        postprocessing=GenerationPostprocessing(
            stop_token_ids=STOPS, default_max_tokens=CONTEXT_TOKENS - 1, num_beams=3
        ),
        batching=Batching(max_batch_size=8),
    )
    return publish(repository, draft, staged)
