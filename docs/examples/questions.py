"""One question for each model of the demo, and how its answer looks in a terminal.

Every function asks one running server over HTTP, as any client would. `QUESTIONS` is in the order of the
README's table of tasks.
"""

import base64
import io
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

EXAMPLES = Path(__file__).parent

PHRASE = "Var ligger närmaste järnvägsstation?"
PROMPT = "def read_"
NEWS = "Mr Braullman told Weirster Airlines that he would return to Tokyo."
PASSAGE = (
    "Ada Klieson was born in Lisbon in 1907. The head office of Gralder Motors is in Oslo. "
    "In 1931 Hugo Stauvini founded Gralder Motors."
)
QUESTION = "Who founded Gralder Motors?"
EVENT = "The pilot repaired a bicycle in the garden."
OTHERS = (
    "The pilot lost a ring in the garden.",
    "In the yard a bike was fixed by the aviator.",
    "The cook repaired the clock at school.",
)
GERMAN = "Am 7. Mai hat die junge Ärztin 12 alte Fahrräder verkauft."
CONVERSATION = (
    {"role": "user", "content": "What is the currency of Japan?"},
    {"role": "assistant", "content": "The currency of Japan is the Japanese yen."},
    {"role": "user", "content": "And of Switzerland?"},
)
_SIGNS = {"background": "·", "disc": "o", "square": "■", "triangle": "▲", "star": "*", "cross": "+"}


@dataclass(frozen=True)
class Answer:
    question: str
    answer: str
    latency_ms: float


def _post(url: str, body: bytes, content_type: str) -> tuple[Any, float]:
    """(decoded answer, milliseconds as the caller sees them)."""
    request = urllib.request.Request(url, body, {"content-type": content_type})
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        data = response.read()
    return json.loads(data), (time.perf_counter() - start) * 1e3


def _post_json(url: str, **body: object) -> tuple[Any, float]:
    return _post(url, json.dumps(body).encode(), "application/json")


def _post_picture(url: str, model: str, name: str) -> tuple[Any, float]:
    """The only prediction for an example picture."""
    picture = (EXAMPLES / name).read_bytes()
    reply, latency_ms = _post(f"{url}/v1/models/{model}/predict", picture, "image/png")
    return reply["predictions"][0], latency_ms


def _base64(name: str) -> str:
    return base64.b64encode((EXAMPLES / name).read_bytes()).decode()


def ask_digits(url: str) -> Answer:
    found, latency_ms = _post_picture(url, "digits", "seven.png")
    return Answer("which digit is docs/examples/seven.png?", _labels(found), latency_ms)


def ask_detection(url: str) -> Answer:
    found, latency_ms = _post_picture(url, "detection", "scene.png")
    lines = [
        f"{thing['label']} {thing['score']:.0%} at "
        + "{xmin:.0f}, {ymin:.0f} – {xmax:.0f}, {ymax:.0f}".format(**thing["box"])
        for thing in found["objects"]
    ]
    answer = "\n".join(lines) or "nothing"
    return Answer("what is where in docs/examples/scene.png?", answer, latency_ms)


def ask_segmentation(url: str) -> Answer:
    found, latency_ms = _post_picture(url, "segmentation", "scene.png")
    areas = "   ".join(f"{part['label']} {part['share']:.1%}" for part in found["classes"])
    mask = Image.open(io.BytesIO(base64.b64decode(found["mask"])))
    small = mask.resize((32, 16), Image.Resampling.NEAREST)
    labels = {part["index"]: part["label"] for part in found["classes"]}
    picture = _characters(small, lambda number: _SIGNS[labels[number]])
    question = "what is every pixel of docs/examples/scene.png?"
    return Answer(question, f"{areas}\n{picture}", latency_ms)


def ask_embedding(url: str) -> Answer:
    found, first_ms = _post_picture(url, "image-embedding", "emblem.png")
    alike = "   ".join(f"{match['name']} {match['cosine']:.2f}" for match in found["matches"][:3])
    pair = {"image": _base64("emblem.png"), "compare_with": _base64("emblem-again.png")}
    reply, second_ms = _post_json(f"{url}/v1/models/image-embedding/predict", **pair)
    compared = reply["predictions"][0]
    verdict = "the same emblem" if compared["is_same"] else "another emblem"
    return Answer(
        "whose picture is docs/examples/emblem.png, and is emblem-again.png the same?",
        f"{alike}\n{verdict}: cosine {compared['cosine']:.2f}, "
        f"the same from {compared['threshold']:.2f}",
        first_ms + second_ms,
    )


def ask_anomaly(url: str) -> Answer:
    found, latency_ms = _post_picture(url, "visual-anomaly", "cloth.png")
    verdict = "a defect" if found["is_anomaly"] else "no defect"
    heat = _as_blocks(base64.b64decode(found["heat_map"]), (32, 16))
    figures = f"score {found['score']:.3g}, a defect above {found['threshold']:.3g}"
    question = "is the cloth in docs/examples/cloth.png flawless, and where not?"
    return Answer(question, f"{verdict}: {figures}\n{heat}", latency_ms)


def ask_language(url: str) -> Answer:
    reply, latency_ms = _post_json(f"{url}/v1/models/language-id/predict", text=PHRASE)
    return Answer(f"which language is “{PHRASE}”?", _labels(reply["predictions"][0]), latency_ms)


def ask_entities(url: str) -> Answer:
    reply, latency_ms = _post_json(f"{url}/v1/models/entities/predict", text=NEWS)
    names = [
        f"{found['label']} “{found['text']}” {found['score']:.0%}"
        for found in reply["predictions"][0]["entities"]
    ]
    return Answer(f"who and what is named in “{NEWS}”?", "   ".join(names) or "nothing", latency_ms)


def ask_answers(url: str) -> Answer:
    reply, latency_ms = _post_json(
        f"{url}/v1/models/answers/predict", question=QUESTION, context=PASSAGE
    )
    found = reply["predictions"][0]
    answer = (
        f"“{found['answer']}” {found['score']:.0%}" if found["has_answer"] else "it is not said"
    )
    return Answer(f"“{PASSAGE}” {QUESTION}", answer, latency_ms)


def ask_sentences(url: str) -> Answer:
    inputs = {"source_sentence": EVENT, "sentences": OTHERS}
    reply, latency_ms = _post_json(f"{url}/similarity", inputs=inputs)
    lines = [f"{cosine:.2f} {text}" for cosine, text in zip(reply, OTHERS, strict=True)]
    return Answer(f"what is like “{EVENT}”?", "\n".join(lines), latency_ms)


def ask_reranker(url: str) -> Answer:
    reply, latency_ms = _post_json(f"{url}/rerank", query=EVENT, texts=OTHERS)
    lines = [f"{found['score']:.2f} {OTHERS[found['index']]}" for found in reply]
    return Answer(f"what says the same as “{EVENT}”?", "\n".join(lines), latency_ms)


def ask_code(url: str) -> Answer:
    body = {"prompt": PROMPT, "max_tokens": 48, "temperature": 0.6, "seed": 1}
    reply, latency_ms = _post_json(f"{url}/v1/completions", model="pycode-gpt", **body)
    return Answer(f"continue “{PROMPT}”", PROMPT + reply["choices"][0]["text"], latency_ms)


def ask_chat(url: str) -> Answer:
    body = {"messages": CONVERSATION, "max_tokens": 32, "temperature": 0}
    reply, latency_ms = _post_json(f"{url}/v1/chat/completions", model="chat", **body)
    question = " / ".join(message["content"] for message in CONVERSATION)
    return Answer(question, reply["choices"][0]["message"]["content"], latency_ms)


def ask_translation(url: str) -> Answer:
    reply, latency_ms = _post_json(f"{url}/v1/models/translation/predict", text=GERMAN)
    return Answer(f"what is “{GERMAN}” in English?", reply["predictions"][0]["text"], latency_ms)


def ask_image(url: str) -> Answer:
    body = {"model": "digits-vae", "prompt": "3", "seed": 4}
    reply, latency_ms = _post_json(f"{url}/v1/images/generations", **body)
    target = Path("runs") / "demo-three.png"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(base64.b64decode(reply["data"][0]["b64_json"]))
    return Answer("draw a “3”", f"{target}\n{_as_blocks(target.read_bytes(), (16, 8))}", latency_ms)


def _labels(found: dict[str, Any]) -> str:
    return "   ".join(f"{row['label']} {row['score']:.1%}" for row in found["labels"][:3])


def _as_blocks(png: bytes, size: tuple[int, int]) -> str:
    """A picture in shades, for a terminal."""
    small = Image.open(io.BytesIO(png)).convert("L").resize(size, Image.Resampling.BOX)
    return _characters(small, lambda level: " ░▒▓█"[level * 5 // 256])


def _characters(picture: Image.Image, character: Callable[[int], str]) -> str:
    levels, width = list(picture.tobytes()), picture.width
    rows = (levels[start : start + width] for start in range(0, len(levels), width))
    return "\n".join("".join(map(character, row)) for row in rows)


QUESTIONS: dict[str, Callable[[str], Answer]] = {
    "digits": ask_digits,
    "detection": ask_detection,
    "segmentation": ask_segmentation,
    "image-embedding": ask_embedding,
    "visual-anomaly": ask_anomaly,
    "language-id": ask_language,
    "entities": ask_entities,
    "answers": ask_answers,
    "sentences": ask_sentences,
    "reranker": ask_reranker,
    "pycode-gpt": ask_code,
    "chat": ask_chat,
    "translation": ask_translation,
    "digits-vae": ask_image,
}
