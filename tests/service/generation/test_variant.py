"""A variant is served when the operator names it, passes its own exam, and is refused when it is absent."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import UsageError
from models.golden import Golden
from models.manifest import Variant
from models.publish import publish
from service.selection.choice import Choice, VariantMissing, exam_of, reference
from service.selection.wishes import wanted
from service.settings import load_settings
from service.workers.inprocess import InProcessPool
from service.workers.options import HostOptions
from tests.service.generation.conftest import TinyModel, request
from tests.service.generation.test_host import publish_tiny
from tests.service.generation.test_in_workers import tokens_of
from tests.service.loops import in_loop
from training.networks.slot_plan import first_prompts
from training.predict import onnx_predict
from training.quantize import quantize


@pytest.fixture
def bundle(tiny: TinyModel, tmp_path: Path) -> Bundle:
    """The reference, published once more under the name of a variant."""
    plain = publish_tiny(tiny, tmp_path)
    variant = Variant(
        precision="int8-weight-only",
        file="variants/int8-weight-only.onnx",
        size_bytes=1,
        accuracy_delta=0,
        max_difference=0,
    )
    staged = tmp_path / "staged"
    (staged / "variants").mkdir(parents=True)
    for file in plain.manifest.files:
        (staged / file).write_bytes(plain.read(file))
    assert variant.file
    assert variant.golden_file
    quantize(variant.precision, staged / "model.onnx", staged / variant.file)
    questions = first_prompts(np.arange(24).reshape(3, 8), tiny.decoder.config)
    answers = onnx_predict(staged / variant.file)(questions)["logits"]
    Golden(questions, {"logits": answers}).save(staged / variant.golden_file)
    draft = plain.manifest.model_copy(update={"variants": (variant,)})
    return publish(tmp_path / "other", draft, staged)


@in_loop
async def test_a_worker_serves_it_after_its_own_exam(bundle: Bundle) -> None:
    [choice] = asked(bundle, f"{bundle.name}=int8-weight-only")
    pool = InProcessPool(1, HostOptions())
    await pool.start()
    try:
        loaded = await pool.load(bundle, choice)
        assert loaded.exam_difference == 0
        assert len(await tokens_of(pool, request([1, 2, 3], max_tokens=4))) == 4
    finally:
        await pool.close()


def asked(bundle: Bundle, *variants: str) -> list[Choice]:
    wishes = load_settings(variant=list(variants)).wishes
    return wanted(bundle.manifest, wishes.of_model(bundle.name))


def test_the_operator_chooses_by_model(bundle: Bundle) -> None:
    first = reference(bundle.manifest)
    assert asked(bundle)[0] == first
    assert asked(bundle, "another=int8-weight-only")[0] == first
    assert asked(bundle, f"{bundle.name}=fp32") == [first]
    [chosen] = asked(bundle, f"{bundle.name}=int8-weight-only")
    assert chosen.file == "variants/int8-weight-only.onnx"
    assert exam_of(bundle.manifest, chosen).golden in bundle.manifest.files


def test_a_variant_that_there_is_not_is_refused_with_those_that_there_are(bundle: Bundle) -> None:
    with pytest.raises(VariantMissing, match=r"'int4-weight-only'.*fp32, int8-weight-only"):
        asked(bundle, f"{bundle.name}=int4-weight-only")


def test_a_runtime_that_writes_no_text_is_refused_with_the_remedy(bundle: Bundle) -> None:
    with pytest.raises(VariantMissing, match=f"{bundle.name}=onnxruntime:fp32 serves it"):
        asked(bundle, f"{bundle.name}=openvino:fp32")


@pytest.mark.parametrize("given", ["chat", "chat=", "=int4"])
def test_half_a_choice_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="MODEL=PRECISION"):
        load_settings(variant=[given])
