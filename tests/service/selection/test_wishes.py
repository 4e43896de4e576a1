"""What the operator asks for is found or refused by name; a model's own word wins over everybody's."""

import pytest

from models.errors import UsageError
from models.manifest import Manifest
from models.runtimes import known
from service.selection.choice import VariantMissing
from service.selection.wishes import Wish, wanted
from service.settings import Settings, load_settings
from tests.service.selection.test_choice import BF16, DYNAMIC, FP16, INT8, manifest, names

MANIFEST: Manifest = manifest(INT8, BF16, DYNAMIC, FP16)


def wish(name: str = "m", **given: object) -> Wish:
    return load_settings(**given).wishes.of_model(name)


def test_a_models_own_word_wins_over_everybodys_and_the_last_counts() -> None:
    given = {"variant": ["*=fp32", "a=int8", "b=openvino:bf16", "b=openvino:fp32"]}
    assert wish("a", **given) == Wish("auto", "cpu", "int8")
    assert wish("b", **given) == Wish("openvino", "cpu", "fp32")
    assert wish("c", **given) == Wish("auto", "cpu", "fp32")


def test_one_model_may_compute_elsewhere() -> None:
    given = {"provider": "cuda", "model_provider": ["small=cpu"]}
    assert wish("small", **given).provider == "cpu"
    assert wish("large", **given).provider == "cuda"
    assert names(wanted(MANIFEST, wish("large", **given)))[0] == "onnxruntime fp32 on cuda"


def test_the_environment_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_VARIANT", "a=int8, b=onnxruntime:fp32")
    monkeypatch.setenv("SLIPWAY_MODEL_PROVIDER", "a=cuda")
    assert wish("b") == Wish("onnxruntime", "cpu", "fp32")
    assert wish("a") == Wish("auto", "cuda", "int8")


def test_a_pinned_choice_is_the_only_one() -> None:
    [choice] = wanted(MANIFEST, wish(variant=["m=onnxruntime:fp32"]))
    assert str(choice) == "onnxruntime fp32 on cpu"
    [choice] = wanted(MANIFEST, wish(variant=["m=int8-dynamic"]))
    assert choice.max_batch_size == 1
    [choice] = wanted(MANIFEST, wish(runtime="openvino", variant=["m=bf16"]))
    assert choice.compute == "bf16"


def test_a_runtime_that_is_named_is_not_passed_over_where_it_is_missing() -> None:
    found = wanted(MANIFEST, Wish(runtime="openvino"))
    assert {choice.runtime for choice in found} == {"openvino"}, "opening it tells what is missing"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Wish(precision="int4"), r"m/1 has no variant 'int4' to serve; it has: fp32, int8-static"),
        (Wish("openvino", "cpu", "int8-static"), r"no variant 'openvino:int8-static'"),
        (Wish(precision="fp16"), r"fp16 \(on cuda\)"),
        (Wish(provider="cuda", precision="int8-static"), r"int8-static \(on cpu\)"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(asked: Wish, told: str) -> None:
    with pytest.raises(VariantMissing, match=told):
        wanted(MANIFEST, asked)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("variant", "fp32", "MODEL=PRECISION"),
        ("variant", "m=:fp32", "MODEL=RUNTIME:PRECISION"),
        ("variant", "m=abacus:fp32", "there is no runtime 'abacus'"),
        ("model_provider", "m=quantum", "cpu, cuda, tensorrt"),
        ("model_provider", "cpu", "MODEL=PROVIDER"),
        ("runtime", "abacus", "onnxruntime"),
    ],
)
def test_half_a_wish_is_refused_at_the_start(setting: str, value: str, told: str) -> None:
    given = value if setting == "runtime" else [value]
    with pytest.raises(UsageError, match=told):
        load_settings(**{setting: given})


def test_the_setting_knows_every_runtime() -> None:
    allowed = set(Settings.model_json_schema()["properties"]["runtime"]["enum"])
    assert allowed == {"auto", *(info.name for info in known())}
