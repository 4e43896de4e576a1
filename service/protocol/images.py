"""OpenAI's dialect of drawing pictures: the request, the answer, and the events of a streamed one.

Sources: OpenAI's API reference, and what its Python client parses (`types/image_gen_*_event.py`). `steps`,
`guidance_scale`, `sampler`, `seed` and `progress_every` are this server's own members.
"""

from typing import ClassVar

from pydantic import BaseModel, Field

from service.protocol import sse
from service.protocol.openai import OpenAIRequest, ParameterInvalid

MAX_PARTIAL_IMAGES = 3


class ImageRequest(OpenAIRequest):
    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "response_format": ("b64_json",),
        "output_format": ("png",),
        "quality": ("auto", "standard"),
        "background": ("auto", "opaque"),
        "moderation": ("auto",),
        "style": (),
        "output_compression": (100,),
    }

    model: str = Field(description="name of a served image-generation model")
    prompt: str = Field(description="name of the class to draw")
    n: int | None = Field(default=1, description="pictures")
    size: str | None = Field(default=None, description="WIDTHxHEIGHT; default: the model's")
    seed: int | None = Field(default=None, description="not OpenAI's; same seed, same pictures")
    steps: int | None = Field(
        default=None, description="not OpenAI's; denoising steps of diffusion models"
    )
    guidance_scale: float | None = Field(
        default=None, description="not OpenAI's; how far diffusion models follow the class"
    )
    sampler: str | None = Field(default=None, description="not OpenAI's; euler or heun")
    stream: bool | None = Field(default=False, description="answer with events; one picture")
    partial_images: int | None = Field(
        default=None,
        description=f"streams of diffusion models: up to {MAX_PARTIAL_IMAGES} previews on the way",
    )
    progress_every: int | None = Field(
        default=None,
        description="not OpenAI's; streams of diffusion models: an event every so many steps",
    )
    user: str | None = None

    def options(self) -> dict[str, object]:
        """Those of the task, as far as they are given."""
        names = ("seed", "size", "steps", "guidance_scale", "sampler")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    def require_consistent(self) -> None:
        """Raises ParameterInvalid for members that do not go together."""
        previews = self.partial_images or 0
        if not 0 <= previews <= MAX_PARTIAL_IMAGES:
            raise ParameterInvalid(
                f"'partial_images' must be from 0 to {MAX_PARTIAL_IMAGES}", "partial_images"
            )
        if self.progress_every is not None and self.progress_every < 1:
            raise ParameterInvalid("'progress_every' must be at least 1", "progress_every")
        if not self.stream:
            for name in ("partial_images", "progress_every"):
                if getattr(self, name):
                    raise ParameterInvalid(f"{name!r} is for streams: set 'stream' to true", name)
        elif self.n not in (None, 1):
            raise ParameterInvalid("a stream draws one picture: 'n' must be 1", "n")


class ImageData(BaseModel):
    b64_json: str = Field(description="PNG in base64")
    revised_prompt: str = Field(description="the class that was drawn")
    seed: int = Field(description="not OpenAI's: draws the same picture again")


class ImagesAnswer(BaseModel):
    created: int = Field(description="Unix time")
    data: list[ImageData]


def data_of(answer: dict[str, object]) -> dict[str, object]:
    return {
        "b64_json": answer["image"],
        "revised_prompt": answer["label"],
        "seed": answer["seed"],
    }


class ImageEvents:
    """The events of one streamed picture, as bytes. `created`: Unix time."""

    def __init__(self, created: int) -> None:
        self._created = created
        self._previews = 0

    def progress(self, step: int, steps: int) -> bytes:
        """Not OpenAI's, and sent only where it was asked for."""
        return _event("image_generation.progress", {"step": step, "steps": steps})

    def partial(self, answer: dict[str, object]) -> bytes:
        index = self._previews
        self._previews += 1
        body = {**self._picture(answer), "partial_image_index": index}
        return _event("image_generation.partial_image", body)

    def completed(self, answer: dict[str, object]) -> bytes:
        """`usage` is there because clients read it; no tokens are."""
        details = {"image_tokens": 0, "text_tokens": 0}
        usage = {"input_tokens": 0, "input_tokens_details": details}
        usage |= {"output_tokens": 0, "total_tokens": 0}
        body = {**self._picture(answer), "seed": answer["seed"], "usage": usage}
        return _event("image_generation.completed", body)

    def _picture(self, answer: dict[str, object]) -> dict[str, object]:
        return {
            "b64_json": answer["image"],
            "created_at": self._created,
            "size": f"{answer['width']}x{answer['height']}",
            "quality": "auto",
            "background": "opaque",
            "output_format": "png",
        }


def _event(kind: str, body: dict[str, object]) -> bytes:
    return sse.event({"type": kind, **body}, kind)


def preview_steps(steps: int, previews: int) -> set[int]:
    """After which steps a preview is shown: spread evenly, none after the last."""
    return {steps * part // (previews + 1) for part in range(1, previews + 1)} - {0, steps}
