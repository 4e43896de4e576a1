"""Texts and pictures on which an imported model is compared with its library.

Texts are chosen for what tokenizers stumble over; pictures are the two photographs that come with
scikit-learn, in several sizes, proportions and modes.
"""

import io
from functools import cache

from PIL import Image

_LONG = (
    "The harbour was quiet that morning, and the ships lay so still that one could count their masts "
    "twice: once above the water and once below it. "
)

TEXTS = (
    "A quiet harbour in the morning.",
    "I would not call it good, but I have certainly seen worse films than this one!",
    "Angela Merkel met Barack Obama in Berlin on 3 March 2014, according to Reuters.",
    "ok",
    "Ça coûte 12,50 € – naïve façade, Ångström, ﬁne.",
    "東京は日本の首都です。 Москва — столица России. القاهرة",
    "Emoji 👩🏽‍🚀 and signs: a_b == c->d; e-mail me @ x.y+z@example.org #tag",
    "  spaces\tand\nlines   \u00a0 everywhere  ",
    _LONG * 40,
)

PAIRS = (
    ("How many people live in Berlin?", "Berlin has a population of about 3.7 million people."),
    ("How many people live in Berlin?", "New York City is famous for its museums."),
    ("where do ships lie", _LONG * 40),
    ("Wo liegt München?", "München liegt an der Isar – südlich von Nürnberg."),
    ("首都はどこですか", "東京は日本の首都です。"),
)


@cache
def pictures() -> tuple[tuple[str, bytes], ...]:
    """What it is, and the encoded picture."""
    return (
        ("photograph 640×427", _encoded(_photograph("china.jpg"), "JPEG")),
        ("photograph 427×640", _encoded(_photograph("flower.jpg").rotate(90, expand=True), "JPEG")),
        ("photograph 97×211", _encoded(_photograph("flower.jpg").resize((97, 211)), "PNG")),
        ("grey 320×120", _encoded(_photograph("china.jpg").resize((320, 120)).convert("L"), "PNG")),
        ("palette 64×64", _encoded(_photograph("flower.jpg").resize((64, 64)).quantize(64), "PNG")),
        (
            "CMYK 224×224",
            _encoded(_photograph("china.jpg").resize((224, 224)).convert("CMYK"), "JPEG"),
        ),
    )


def _photograph(name: str) -> Image.Image:
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image(name))


def _encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind)
    return out.getvalue()
