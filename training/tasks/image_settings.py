"""What the image recipes may be told. Apart from the works, so that reading it needs no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord, LabelLossConfig, PretrainedConfig, RunConfig
from training.networks import settings as networks
from training.networks.registry import NETWORKS, PATTERN
from training.pruning.settings import PruningConfig


class ImageConfig(ConfigRecord):
    """How pictures become tensors."""

    side: int = Field(
        default=0, ge=0, le=512, description="pixels; 0 takes the data's own size up to `largest`"
    )
    largest: int = Field(default=64, ge=8, le=512, description="upper limit of the data's own size")
    channels: Literal["auto", "L", "RGB"] = Field(
        default="auto", description="grey or colour; auto: grey when no picture has colour"
    )
    interpolation: Literal["box", "bilinear", "bicubic", "lanczos"] = Field(
        default="box", description="how pictures are resized, here and by the server"
    )
    fit: Literal["stretch", "crop", "pad", "content"] = Field(
        default="stretch",
        description="what happens to pictures of another size; content suits drawings and scans",
    )


class AugmentConfig(ConfigRecord):
    """Random changes of training pictures; each is drawn anew for every picture."""

    crop_padding: int = Field(
        default=0,
        ge=0,
        le=128,
        description="pixels of black around the picture, of which a part of its own size is cut out",
    )
    shift: float = Field(default=0.1, ge=0, le=0.5, description="largest shift, part of the side")
    rotate_degrees: float = Field(default=10.0, ge=0, le=180, description="largest rotation")
    smallest: float = Field(
        default=0.8, gt=0, le=1, description="least size of the content, e.g. a drawing's margins"
    )
    contrast: float = Field(default=0.3, ge=0, lt=1, description="largest loss of contrast")
    flip_probability: float = Field(
        default=0.5, ge=0, le=1, description="mirror left and right; colour pictures only"
    )
    invert_probability: float = Field(
        default=0.5, ge=0, le=1, description="swap black and white; grey pictures only"
    )
    brightness: float = Field(
        default=0.0, ge=0, le=1, description="largest change of brightness, up or down"
    )
    saturation: float = Field(
        default=0.0, ge=0, le=1, description="largest change of saturation; colour pictures only"
    )
    hue_degrees: float = Field(
        default=0.0, ge=0, le=180, description="largest turn of all hues; colour pictures only"
    )
    erase_probability: float = Field(
        default=0.0, ge=0, le=1, description="random erasing: cover a rectangle with noise"
    )
    erase_largest: float = Field(
        default=0.33, gt=0.02, le=1, description="largest part of the picture that is erased"
    )
    mixup_alpha: float = Field(
        default=0.0,
        ge=0,
        description="mixup: blend pictures and labels in pairs; 0.2 hardly, 1 evenly, 0 never",
    )
    cutmix_alpha: float = Field(
        default=0.0,
        ge=0,
        description="cutmix: paste a rectangle of another picture, labels by area; 1 is the paper's, 0 "
        "never. With mixup as well, every batch draws one of them",
    )
    mix_probability: float = Field(
        default=1.0, ge=0, le=1, description="part of the batches that are mixed, where any are"
    )


class ImageRunConfig(RunConfig):
    """What every run on labelled pictures may be told."""

    image: ImageConfig = ImageConfig()
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="part of the training pictures kept for validation"
    )


class ShapesConfig(ConfigRecord):
    """The pictures of shapes that a recipe draws when it is given no data."""

    train: int = Field(default=4000, ge=30, description="pictures to learn and to validate with")
    test: int = Field(default=1000, ge=10, description="pictures to be judged on")
    side: int = Field(default=32, ge=16, le=256, description="pixels")


class ImageNetworkConfig(ImageRunConfig):
    """A network of any family, its augmentation, and the checkpoint that may take its place."""

    network: str = Field(
        default="residual",
        pattern=PATTERN,
        description=f"the family: {', '.join(NETWORKS)}, timm:NAME where timm is installed, or pretrained; "
        "its group of settings has its name. --pretrained PATH_OR_ID takes its place",
    )
    residual: networks.ResidualConfig = networks.ResidualConfig()
    mlp: networks.MlpConfig = networks.MlpConfig()
    lenet: networks.LenetConfig = networks.LenetConfig()
    alexnet: networks.AlexnetConfig = networks.AlexnetConfig()
    vgg: networks.VggConfig = networks.VggConfig()
    inception: networks.InceptionConfig = networks.InceptionConfig()
    resnet: networks.ResnetConfig = networks.ResnetConfig()
    capsnet: networks.CapsnetConfig = networks.CapsnetConfig()
    efficientnet: networks.EfficientnetConfig = networks.EfficientnetConfig()
    vit: networks.VitConfig = networks.VitConfig()
    convnext: networks.ConvnextConfig = networks.ConvnextConfig()
    pretrained: PretrainedConfig = PretrainedConfig()
    augment: AugmentConfig = AugmentConfig()
    dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="units left out while learning; where, the network says",
    )

    @model_validator(mode="after")
    def _only_the_networks_own_settings(self) -> Self:
        """A setting of another family would change nothing, and nobody would notice."""
        for name in NETWORKS:
            group = getattr(self, name)
            if name != self.network and group != type(group)():
                raise ValueError(f"{name}.* is set, but network is {self.network}")
        return self


class TeacherConfig(ConfigRecord):
    """Knowledge distillation (G. Hinton et al. 2015, arXiv:1503.02531): learning from another model too."""

    weight: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="part of the loss that compares with the teacher, the rest with the labels; 0: none",
    )
    temperature: float = Field(
        default=4.0,
        gt=0,
        description="both sides' logits are divided by it: above 1, what the teacher holds for unlikely "
        "counts too",
    )
    source: str | None = Field(
        default=None,
        description="who teaches: NAME or NAME@VERSION in models/repository, or a version's folder, whose "
        "labels hold all classes of the data. none: a network that learns from the same pictures first",
    )
    network: str = Field(
        default="resnet",
        pattern=PATTERN,
        description="teacher that learns first: its family, with that family's default settings",
    )
    epochs: int = Field(default=5, ge=1, description="teacher that learns first: its passes")


class ImageClassificationConfig(ImageNetworkConfig, LabelLossConfig):
    """A network of any family on labelled pictures."""

    pruning: PruningConfig = PruningConfig()
    teacher: TeacherConfig = TeacherConfig()

    own_data: Literal["digits", "shapes"] = Field(
        default="digits", description="what to learn without --data"
    )
    shapes: ShapesConfig = ShapesConfig()
    mirror_average: bool = Field(
        default=False,
        description="publish the mean over a picture and its mirror image: a little better, twice the work",
    )
    top_k: int = Field(default=3, ge=1, le=1000, description="labels in an answer by default")

    @model_validator(mode="after")
    def _publishes_what_was_pruned(self) -> Self:
        if self.pruning.amount and self.keep != "last":
            raise ValueError(
                "pruning.amount: needs keep=last; the weights of the least loss may be of before the pruning"
            )
        if self.pruning.amount and self.patience_epochs:
            raise ValueError(
                "pruning.amount: needs patience_epochs=0, or a run may end before it prunes"
            )
        return self

    @model_validator(mode="after")
    def _mirrors_only_what_was_learned(self) -> Self:
        if self.mirror_average and not self.augment.flip_probability:
            raise ValueError("mirror_average: needs augment.flip_probability above 0")
        return self
