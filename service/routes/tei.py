"""The routes of Hugging Face's text-embeddings-inference: /embed, /similarity, /rerank, /predict, /tokenize.

The model that has answered stands in the headers, because these answers are bare lists.
"""

import time
from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from models.transforms.vectors import cosine
from service.connection import while_connected
from service.errors import BadRequest
from service.intake import content_type, with_document
from service.offload import offload
from service.pipeline import MAX_INSTANCES, Ask, Prediction, predict
from service.protocol import tei
from service.protocol.openai import ParameterInvalid, RequestT, body_of, parse
from service.registry import ServedModel
from service.responses import Json, json_list
from service.routes.choice import chosen, doing
from service.routes.context import arrived, model_headers, server_timing, terms
from service.tasks.base import TaskOptions
from service.tasks.text_classification import TextClassification
from service.tasks.text_similarity import TextPair, TextSimilarity
from service.tasks.tokens import has_tokenizer, tokens_of

router = APIRouter(tags=["tei"], route_class=tei.TeiRoute)

_MOST_LABELS = 1000  # what a classifier's `top_k` allows
_EMBEDS = doing("sentence-embedding")
_SCORES = doing("text-similarity")
_CLASSIFIES = doing("text-classification")


@router.post(
    "/embed",
    summary="Vectors of texts (TEI)",
    response_model=tei.Embeddings,
    openapi_extra=body_of(tei.EmbedRequest),
)
async def embed(request: Request) -> Response:
    asked = await _read(request, tei.EmbedRequest)
    instances = tei.inputs_of(asked)
    model, task = await chosen(request, asked.model, "sentence embedding", _EMBEDS)
    wanted = {"normalize": asked.normalize, "dimensions": asked.dimensions}
    options = task.parse_options({**_truncating(asked), **wanted})
    prediction = await _ask(request, model, instances, options)
    vectors = [answer["embedding"] for answer in prediction.answers]
    return await _answer(request, model, prediction, vectors, _characters(instances))


@router.post(
    "/similarity",
    summary="Cosines of one sentence with others (TEI)",
    response_model=tei.Similarities,
    openapi_extra=body_of(tei.SimilarityRequest),
)
async def similarity(request: Request) -> Response:
    asked = await _read(request, tei.SimilarityRequest)
    model, task = await chosen(request, asked.model, "sentence embedding", _EMBEDS)
    parameters = asked.parameters or tei.SimilarityParameters()
    options = task.parse_options({"truncate": bool(asked.truncate or parameters.truncate)})
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    prediction = await _ask(request, model, texts, options)
    return await _answer(request, model, prediction, _cosines(prediction), _characters(texts))


@router.post(
    "/rerank",
    summary="Order texts by how well they answer a query (TEI)",
    response_model=tei.Ranks,
    openapi_extra=body_of(tei.RerankRequest),
)
async def rerank(request: Request) -> Response:
    """By a cross-encoder (task text-similarity); where none is served or an embedding model is named, by
    the cosines of vectors."""
    asked = await _read(request, tei.RerankRequest)
    model, task = await chosen(request, asked.model, "reranking", _SCORES, _EMBEDS)
    texts = [asked.query, *asked.texts]
    if isinstance(task, TextSimilarity):
        wanted = {**_truncating(asked), "raw_scores": asked.raw_scores}
        pairs = [TextPair(asked.query, text) for text in asked.texts]
        prediction = await _ask(request, model, pairs, task.parse_options(wanted))
        scores = [float(str(answer["score"])) for answer in prediction.answers]
    else:
        options = task.parse_options(_truncating(asked))
        prediction = await _ask(request, model, texts, options)
        scores = _cosines(prediction)
    ranks = [
        {"index": index, "score": scores[index]}
        | ({"text": asked.texts[index]} if asked.return_text else {})
        for index in sorted(range(len(scores)), key=lambda index: -scores[index])
    ]
    return await _answer(request, model, prediction, ranks, _characters(texts))


@router.post(
    "/predict",
    summary="Labels of texts, or the score of a pair (TEI)",
    response_model=tei.Predictions,
    openapi_extra=body_of(tei.PredictRequest),
)
async def predict_labels(request: Request) -> Response:
    """Single texts are answered by a classifier, with all its labels; pairs by a cross-encoder, whose only
    label is LABEL_0."""
    asked = await _read(request, tei.PredictRequest)
    instances, are_pairs = tei.texts_or_pairs(asked.inputs)
    work, kind = ("pairs", _SCORES) if are_pairs else ("text classification", _CLASSIFIES)
    model, task = await chosen(request, asked.model, work, kind)
    wanted: dict[str, object] = {**_truncating(asked), "raw_scores": asked.raw_scores}
    if isinstance(task, TextClassification):
        wanted["top_k"] = min(len(task.labels), _MOST_LABELS)
    asks = [TextPair(*given) if are_pairs else given[0] for given in instances]
    prediction = await _ask(request, model, asks, task.parse_options(wanted))
    rows = [tei.predictions(answer) for answer in prediction.answers]
    is_batch = isinstance(asked.inputs, list) and isinstance(asked.inputs[0], list)
    characters = sum(len(text) for given in instances for text in given)
    return await _answer(request, model, prediction, rows if is_batch else rows[0], characters)


@router.post(
    "/tokenize",
    summary="Tokens of texts (TEI)",
    response_model=tei.Tokens,
    openapi_extra=body_of(tei.TokenizeRequest),
)
async def tokenize(request: Request) -> Response:
    """Of the whole text, also where it is longer than the model takes."""
    asked = await _read(request, tei.TokenizeRequest)
    texts = [asked.inputs] if isinstance(asked.inputs, str) else list(asked.inputs)
    if _characters(texts) > tei.MOST_TOKENIZED_CHARACTERS:
        raise BadRequest(
            f"more than {tei.MOST_TOKENIZED_CHARACTERS:,} characters; send them in parts"
        )
    model, task = await chosen(request, asked.model, "tokenizing", has_tokenizer)
    terms(request)  # refuses what is too late
    rows = await offload(tokens_of, task, texts, special=asked.add_special_tokens)
    return Json(await json_list(rows), headers=model_headers(model))


async def _read(request: Request, kind: type[RequestT]) -> RequestT:
    content_type(request)  # refuses what is not UTF-8, or compressed
    return await with_document(request, lambda document: parse(kind, document))


def _truncating(asked: tei.TeiRequest) -> dict[str, object]:
    return {"truncate": bool(asked.truncate)}


async def _ask(
    request: Request, model: ServedModel, instances: Sequence[object], options: TaskOptions
) -> Prediction:
    if len(instances) > MAX_INSTANCES:
        raise ParameterInvalid(f"at most {MAX_INSTANCES} texts in one request", "inputs")
    asks = [Ask(instance, options) for instance in instances]
    return await while_connected(request, predict(model, asks, terms(request)))


def _cosines(prediction: Prediction) -> list[float]:
    """Of the first vector with each other one."""
    vectors = np.stack([np.asarray(answer["embedding"]) for answer in prediction.answers])
    found: list[float] = cosine(vectors[:1], vectors[1:]).tolist()
    return found


def _characters(inputs: Sequence[object]) -> int:
    return sum(len(part) for part in inputs if isinstance(part, str))


async def _answer(
    request: Request,
    model: ServedModel,
    prediction: Prediction,
    rows: Sequence[object],
    characters: int,
) -> Response:
    """With TEI's own headers (whole milliseconds) and ours."""
    phases = prediction.phases
    tokens = sum(int(str(answer.get("tokens", 0))) for answer in prediction.answers)
    counted = {
        "x-compute-characters": characters,
        "x-compute-tokens": tokens,
        "x-total-time": round((time.monotonic() - arrived(request)) * 1e3),
        "x-tokenization-time": round(phases.preprocess_s * 1e3),
        "x-queue-time": round(phases.queue_s * 1e3),
        "x-inference-time": round(phases.infer_s * 1e3),
    }
    headers = {name: str(number) for name, number in counted.items()}
    headers |= {"server-timing": server_timing(request, phases), **model_headers(model)}
    return Json(await json_list(rows), headers=headers)
