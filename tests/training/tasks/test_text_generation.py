"""A short run on a text file becomes a bundle that the generation engine serves as torch would."""

import queue
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import Evaluation
from service.generation.host import GenerationHost
from service.generation.request import GenerationEvent, GenerationRequest, SamplingParams
from tests.training.fake_work import silent_reporter
from training import recipes
from training.errors import DataError, GateFailed
from training.networks.decoder import Decoder
from training.networks.slot_plan import decoder_predict
from training.optimizing.budget import Budget
from training.pipeline import Request, run
from training.settings import with_settings
from training.tasks.text_generation import TextGenerationWork

SMALL = (
    "decoder.width=32",
    "decoder.heads=2",
    "decoder.kv_heads=1",
    "decoder.layers=1",
    "decoder.hidden=48",
    "decoder.context=64",
    "vocabulary=300",
    "batch_size=4",
    "epochs=2",
    "epoch_windows=40",
    "cpu_threads=1",
    "precision=fp32",
)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "song.txt"
    lines = [
        f"{n} green bottles hanging on the wall,\nand if one should fall\n" for n in range(300)
    ]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def trained(song: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    folder = tmp_path_factory.mktemp("run")
    request = Request(
        "pycode-gpt", song, (*SMALL, "gates.beats="), folder / "repository", folder / "runs"
    )
    return run(request, silent_reporter()[0]), folder / "runs"


def test_bundle_is_complete(trained: tuple[Bundle, Path]) -> None:
    bundle, _ = trained
    manifest = bundle.manifest
    assert (manifest.task, manifest.runner) == ("text-generation", "generation")
    assert manifest.evaluation[0].metric == "bits-per-byte"
    assert set(manifest.evaluation[0].baselines) >= {"order-3-bytes", "gzip"}
    assert {gate.name for gate in manifest.gates} == {"parity", "greedy-parity"}
    assert {"tokenizer.json", "golden.npz", "plots/samples.png", "plots/loss.png"} <= set(
        manifest.files
    )


def learned(trained: tuple[Bundle, Path]) -> Decoder:
    bundle, runs = trained
    config = with_settings(recipes.get("pycode-gpt").build_config(), SMALL)
    tokenizer = Tokenizer.from_str(bundle.read_text("tokenizer.json"))
    decoder = Decoder(config.decoder, tokenizer.get_vocab_size()).eval()  # type: ignore[attr-defined]
    [best] = runs.rglob("best*")
    weights = torch.load(best, weights_only=True)
    decoder.load_state_dict(
        {
            key.removeprefix("network."): weight
            for key, weight in weights.items()
            if key.startswith("network.")
        }
    )
    return decoder


def test_greedy_texts_of_another_network_are_noticed(
    trained: tuple[Bundle, Path], song: Path
) -> None:
    work = work_on(song)
    work.prepare()
    graph_side = work.onnx_predict(trained[0].path / "model.onnx")
    assert graph_side is not None
    decoder = learned(trained)
    [gate] = work.verify_more(decoder_predict(decoder), graph_side)
    assert gate.passed
    torch.nn.init.normal_(decoder.head.weight)
    [gate] = work.verify_more(decoder_predict(decoder), graph_side)
    assert not gate.passed


def test_engine_passes_the_exam_and_continues_as_torch_does(trained: tuple[Bundle, Path]) -> None:
    bundle, _ = trained
    tokenizer = Tokenizer.from_str(bundle.read_text("tokenizer.json"))
    decoder = learned(trained)
    prompt = [0, *tokenizer.encode("10 green").ids]
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        for _ in range(12):
            ids = torch.cat((ids, decoder(ids)[:, -1:].argmax(-1)), dim=1)

    host = GenerationHost(bundle)
    assert host.exam(Golden.from_bytes(bundle.read("golden.npz"))) < 1e-3
    answer: queue.Queue[GenerationEvent] = queue.Queue()
    greedy = SamplingParams(max_tokens=12, temperature=0.0)
    payload = GenerationRequest(tuple(prompt), greedy).to_json()
    host.submit(1, payload, lambda events: [answer.put(event) for _, event in events])
    tokens: list[int] = []
    while (event := answer.get(timeout=20)).finish_reason is None:
        tokens.extend(event.token_ids)
    tokens.extend(event.token_ids)
    host.close()
    expected = ids[0, len(prompt) :].tolist()
    assert tokens == (expected[: expected.index(0)] if 0 in expected else expected)


def test_smaller_variants_pass_the_exam_that_is_their_own(trained: tuple[Bundle, Path]) -> None:
    bundle, _ = trained
    kept = {variant.precision: variant for variant in bundle.manifest.variants}
    assert set(kept) == {"int8-weight-only", "int4-weight-only"}
    bits = bundle.manifest.evaluation[0].value
    for precision, budget in (("int8-weight-only", 0.01), ("int4-weight-only", 0.03)):
        variant = kept[precision]
        assert variant.accuracy_delta <= budget * bits
        assert set(variant.latency_ms) == {1, 8}
        host = GenerationHost(bundle, model_file=str(variant.file))
        try:
            own = Golden.from_bytes(bundle.read(str(variant.golden_file)))
            assert host.exam(own) < 1e-3
        finally:
            host.close()


@pytest.mark.parametrize(
    ("precision", "value", "objection"),
    [
        ("int8-weight-only", 2.019, ""),
        ("int8-weight-only", 2.021, "bits-per-byte grow by 1.05%, more than 1.00%"),
        ("int4-weight-only", 2.059, ""),
        ("int4-weight-only", 2.061, "bits-per-byte grow by 3.05%, more than 3.00%"),
    ],
)
def test_a_variant_may_cost_a_part_of_the_bits(
    precision: str, value: float, objection: str, song: Path
) -> None:
    before = Evaluation(
        dataset="d", split="s", metric="bits-per-byte", value=2, higher_is_better=False, samples=1
    )
    after = before.model_copy(update={"value": value})
    found = work_on(song).variant_objection(precision, (before,), (after,), Budget())
    assert found == objection


def test_run_that_is_worse_than_three_bytes_of_context_publishes_nothing(
    song: Path, tmp_path: Path
) -> None:
    request = Request(
        "pycode-gpt", song, (*SMALL, "max_steps=10"), tmp_path / "repository", tmp_path / "runs"
    )
    with pytest.raises(GateFailed, match="order-3-bytes"):
        run(request, silent_reporter()[0])
    assert not list((tmp_path / "repository").rglob("model.onnx"))


def work_on(song: Path, *settings: str) -> TextGenerationWork:
    small = with_settings(recipes.get("pycode-gpt").build_config(), SMALL)
    config = with_settings(small, settings)
    work = recipes.get("pycode-gpt").work_class()(config, song)
    assert isinstance(work, TextGenerationWork)
    return work


def test_validation_windows_are_never_trained_on(song: Path) -> None:
    work = work_on(song, "epoch_windows=500", "validation_windows=5")
    work.prepare()
    work.windows.stream = torch.arange(len(work.windows.stream))  # tokens that say where they stand
    validation = {place for _, targets in work.val_loader() for place in targets.flatten().tolist()}
    learned = {place for _, targets in work.train_loader() for place in targets.flatten().tolist()}
    assert len(validation) == 5 * 64
    assert not validation & learned
    assert len(learned) > 0.9 * (len(work.windows.stream) - len(validation))


def test_samples_are_held_out_text_and_the_same_on_every_call(song: Path) -> None:
    work = work_on(song)
    work.prepare()
    inputs = work.sample_inputs(5, 20)
    assert inputs["ids"].shape == (5, 20)
    again = work.sample_inputs(5, 20)
    assert all(np.array_equal(inputs[name], again[name]) for name in inputs)
    assert len({tuple(row) for row in inputs["ids"].tolist()}) == 5


def test_text_shorter_than_the_context_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "poem.txt"
    path.write_text("a rose is a rose is a rose\n" * 160)
    with pytest.raises(DataError, match=r"decoder\.context"):
        work_on(path, "decoder.context=4096").prepare()


@pytest.mark.skipif(
    not Path("../shared/data/shakespeare/input.txt").is_file(), reason="no shared data here"
)
def test_shakespeare_is_read_through_data() -> None:
    work = work_on(Path("../shared/data/shakespeare/input.txt"))
    work.prepare()
    assert "111,558 bytes" in work.data_summary()["held out"]


def test_python_version_is_part_of_the_corpus_name() -> None:
    config = with_settings(recipes.get("pycode-gpt").build_config(), SMALL)
    work = recipes.get("pycode-gpt").work_class()(config, None)
    assert isinstance(work, TextGenerationWork)
    work.prepare()
    assert sys.version.split()[0] in work.corpus.dataset
