"""`--set`: every key by its type, every mistake in one line that names key, value and remedy."""

import pytest

from models.errors import UsageError
from tests.training.fake_work import fake_config
from training.config import RunConfig
from training.settings import expected, settable, with_settings


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("epochs=7", lambda config: config.epochs == 7),
        ("optim.learning_rate=2e-4", lambda config: config.optim.learning_rate == 2e-4),
        ("optim.schedule=cosine", lambda config: config.optim.schedule == "cosine"),
        ("gates.accuracy_floor=0.9", lambda config: config.gates.accuracy_floor == 0.9),
        ("gates.accuracy_floor=none", lambda config: config.gates.accuracy_floor is None),
        (
            "gates.beats=majority, chance",
            lambda config: config.gates.beats == ("majority", "chance"),
        ),
        ("gates.beats=", lambda config: config.gates.beats == ()),
        (
            "batching.preferred_batch_size=[4,8]",
            lambda c: c.batching.preferred_batch_size == (4, 8),
        ),
        (
            "batching.default_queue_policy.max_queue_size=9",
            lambda config: config.batching.default_queue_policy.max_queue_size == 9,
        ),
    ],
)
def test_a_setting_is_read_as_its_field_is_typed(setting: str, read: object) -> None:
    assert callable(read)
    assert read(with_settings(fake_config(), [setting]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs=many", "epochs=many: expected a whole number ≥ 1"),
        ("epochs=0", "epochs=0: expected a whole number ≥ 1"),
        ("optim.learning_rate=-1", "expected a number > 0"),
        ("optim.schedule=linear", "expected one of constant, cosine, one_cycle"),
        ("gates.accuracy_floor=high", "expected a number or none"),
        ("batching.preferred_batch_size=1,x", "comma-separated values, each a whole number"),
        ("optim.learning_rat=1", "did you mean optim.learning_rate?"),
        ("zzz=1", "known keys: name, seed"),
        ("optim=1", "is a group; set one of optim.optimizer"),
        ("task=other", "fixed by the recipe"),
        ("epochs", "expected key=value"),
        ("=3", "expected key=value"),
        ("name=a b", "matching"),
        ("gates.parity_atol=nan", "expected a number > 0"),
        ("gates.accuracy_floor=nan", "finite"),
    ],
)
def test_a_mistake_names_key_value_and_remedy(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(fake_config(), [setting])
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_key_given_twice_is_refused_rather_than_decided() -> None:
    with pytest.raises(UsageError, match="more than once"):
        with_settings(fake_config(), ["epochs=1", "epochs=2"])


def test_the_configuration_itself_is_never_changed() -> None:
    config = fake_config()
    with_settings(config, ["epochs=9", "optim.learning_rate=0.5"])
    assert config == fake_config()


def test_every_setting_has_a_sentence_and_words_for_its_type() -> None:
    fields = dict(settable(RunConfig))
    assert {"seed", "optim.learning_rate", "batching.max_batch_size"} <= fields.keys()
    own = {key: field for key, field in fields.items() if not key.startswith("batching.")}
    assert [key for key, field in own.items() if not field.description] == []
    assert all(expected(field) for field in fields.values())


def test_one_fold_is_refused() -> None:
    with pytest.raises(UsageError, match="0 or at least 2"):
        with_settings(fake_config(), ["folds=1"])
