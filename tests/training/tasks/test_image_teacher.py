"""Learning from another model: whose classes are its own, and who sees pictures in its own way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.blocks import ImagePreprocessing
from models.bundle import Bundle
from models.errors import UsageError
from models.transforms.image import to_tensor
from tests.training.fake_work import silent_reporter
from training import pipeline, recipes, train
from training.runs import RunFolder
from training.settings import with_settings
from training.tasks.image_classification import ImageClassificationWork
from training.tasks.image_settings import ImageClassificationConfig
from training.tasks.image_teacher import as_seen, published_teacher, teacher_config
from training.train import Trained

_TINY = ("batch_size=16", "shapes.train=80", "shapes.test=20")


def config_of(*settings: str, recipe: str = "image-distilled") -> ImageClassificationConfig:
    config = with_settings(recipes.get(recipe).build_config(), (*_TINY, *settings))
    assert isinstance(config, ImageClassificationConfig)
    return config


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A published classifier of digits, hardly trained."""
    root = tmp_path_factory.mktemp("teacher")
    settings = ("max_steps=4", "residual.width=4", "gates.accuracy_floor=none", "gates.beats=")
    request = pipeline.Request(
        "digits", settings=settings, repository=root / "models", runs=root / "runs"
    )
    return pipeline.run(request, silent_reporter()[0])


def block(**changes: Any) -> ImagePreprocessing:
    plain = {"input": "image", "height": 8, "width": 8, "channel_order": "RGB"}
    return ImagePreprocessing.model_validate(
        plain | {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)} | changes
    )


@pytest.mark.parametrize(
    "wanted",
    [
        block(),
        block(channel_order="BGR"),
        block(channel_order="L", mean=(0.5,), std=(0.25,)),
        block(scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3),
    ],
    ids=["RGB", "BGR", "grey", "levels"],
)
def test_pictures_are_shown_to_a_teacher_as_the_server_would(wanted: ImagePreprocessing) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    served = to_tensor(Image.fromarray(pixels), wanted)
    shares = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    # Pillow rounds grey to whole levels: half of one, over the deviation.
    close = 0.6 * wanted.scale / min(wanted.std) if wanted.channel_order == "L" else 1e-4
    assert np.abs(as_seen(shares, wanted)[0].numpy() - served).max() < close


def test_another_size_and_missing_colours_are_made_up_for() -> None:
    assert as_seen(torch.rand(2, 1, 32, 32), block()).shape == (2, 3, 8, 8)


def test_a_published_teacher_answers_in_the_students_order_of_classes(teacher: Bundle) -> None:
    pictures = torch.rand(5, 1, 8, 8)
    ten = published_teacher(str(teacher.path), tuple("0123456789"))(pictures)
    two = published_teacher(str(teacher.path), ("7", "3"))(pictures)
    assert ten.shape == (5, 10)
    assert torch.equal(two, ten[:, [7, 3]])


@pytest.mark.parametrize(
    ("source", "classes", "message"),
    [
        ("teacher", ("7", "cat"), "knows no class 'cat'; its labels are 0, 1"),
        ("../up", ("7",), "neither a version's folder nor the name of a model"),
        ("digits@zero", ("7",), "neither a version's folder nor the name of a model"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(
    source: str, classes: tuple[str, ...], message: str, teacher: Bundle
) -> None:
    with pytest.raises(UsageError, match=message):
        published_teacher(str(teacher.path) if source == "teacher" else source, classes)


def test_a_teacher_that_learns_first_has_its_familys_defaults_and_no_teacher_of_its_own() -> None:
    config = config_of("residual.width=4", "teacher.network=mlp", "teacher.epochs=3")
    made = teacher_config(config)
    assert (made.network, made.epochs, made.teacher.weight) == ("mlp", 3, 0)
    assert type(made).model_validate(made.model_dump()) == made
    assert made.seed != config.seed


Learn = Callable[..., tuple[ImageClassificationWork, Trained]]


@pytest.fixture
def learn(tmp_path: Path) -> Learn:
    def run(config: ImageClassificationConfig, folder: str) -> tuple[Any, Trained]:
        train.seed_everything(config.seed)
        work = ImageClassificationWork(config, None)
        work.prepare()
        place = RunFolder(tmp_path, folder)
        place.path.mkdir()
        return work, train.train(work, place, silent_reporter()[0], resume=False)

    return run


def test_the_loss_is_the_labels_and_the_teachers_in_their_parts(learn: Learn) -> None:
    """With the same weights, on the same pictures: what the module says is the sum by hand."""
    config = config_of("residual.width=4", "teacher.weight=0.25", "augment.crop_padding=0")
    config = config.model_copy(
        update={
            "augment": config.augment.model_copy(
                update={"flip_probability": 0.0, "erase_probability": 0.0, "rotate_degrees": 0.0}
            )
        }
    )
    work = ImageClassificationWork(config, None)
    work.prepare()

    def says_three(pictures: Tensor) -> Tensor:
        logits = torch.zeros(len(pictures), len(work.class_names))
        logits[:, 3] = 6.0
        return logits

    work._teacher = says_three
    module = work.lightning_module()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.eval()
    pixels = torch.from_numpy(work.images.train.pixels[:8])
    labels = torch.from_numpy(work.images.train.labels[:8])
    with torch.no_grad():
        given = module.training_step((pixels, labels), 0)
        logits = module(pixels.float() / 255)
        hard = torch.nn.functional.cross_entropy(logits, labels)
        t = config.teacher.temperature
        wanted = torch.softmax(says_three(pixels) / t, dim=1)
        gap = wanted * (wanted.log() - torch.log_softmax(logits / t, dim=1))
        soft = t * t * gap.sum(dim=1).mean()
    assert float(given) == pytest.approx(float(0.75 * hard + 0.25 * soft), rel=1e-4)


@pytest.mark.slow
def test_a_student_agrees_more_with_its_teacher_than_one_without(learn: Learn) -> None:
    """All the loss is the teacher's, which knows nothing: so does the student then, and only then."""
    student = ("residual.width=8", "max_steps=25", "epochs=9", "cpu_threads=1")
    quick = (*student, "teacher.network=lenet", "teacher.epochs=2")
    taught, with_teacher = learn(config_of(*quick, "teacher.weight=1"), "taught")
    _, without = learn(config_of(*quick, "teacher.weight=0"), "alone")
    assert taught._teacher is not None
    pixels = torch.from_numpy(taught.images.test.pixels).float() / 255
    said = taught._teacher(pixels).softmax(dim=1)

    def distance(module: Any) -> float:
        with torch.no_grad():
            own = module(pixels).log_softmax(dim=1)
        return float((said * (said.log() - own)).sum(dim=1).mean())

    assert distance(with_teacher.module) < distance(without.module)


def test_the_teachers_accuracy_stands_beside_the_students(teacher: Bundle) -> None:
    config = with_settings(
        recipes.get("digits").build_config(),
        (f"teacher.source={teacher.path}", "teacher.weight=0.5", "residual.width=4"),
    )
    assert isinstance(config, ImageClassificationConfig)
    work = ImageClassificationWork(config, None)
    work.prepare()
    assert str(teacher.path) in work.data_summary()["teacher"]
    module = work.lightning_module().eval()

    def ask(inputs: Any) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            return {"logits": module.network(torch.from_numpy(inputs["image"])).numpy()}

    main = work.evaluate(ask)[0]
    assert main.baselines["teacher"] == pytest.approx(
        teacher.manifest.evaluation[0].value, abs=0.02
    )


def test_a_network_with_a_loss_of_its_own_takes_no_teacher() -> None:
    config = config_of("teacher.weight=0.5", "network=capsnet", "residual.width=32")
    work = ImageClassificationWork(config, None)
    work.prepare()
    work._teacher = lambda pictures: torch.zeros(len(pictures), 10)
    with pytest.raises(UsageError, match="network capsnet has a loss of its own"):
        work.lightning_module()
