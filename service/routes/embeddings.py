"""OpenAI's `POST /v1/embeddings`, answered by sentence-embedding models."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.connection import while_connected
from service.intake import content_type, with_document
from service.pipeline import Ask, predict
from service.protocol.embeddings import EmbeddingRequest, EmbeddingsAnswer, inputs_of
from service.protocol.openai import OpenAIRoute, ParameterInvalid, body_of, parse
from service.responses import Json, json_list
from service.routes.context import model_headers, served, server_timing, terms
from service.tasks.sentence_embedding import SentenceEmbedding

router = APIRouter(tags=["openai"], route_class=OpenAIRoute)


@router.post(
    "/v1/embeddings",
    summary="Vectors of texts",
    response_model=EmbeddingsAnswer,
    openapi_extra=body_of(EmbeddingRequest),
)
async def create_embeddings(request: Request) -> Response:
    content_type(request)  # refuses what is not UTF-8, or compressed
    asked = await with_document(request, lambda document: parse(EmbeddingRequest, document))
    model, task = await served(request, asked.model)
    if not isinstance(task, SentenceEmbedding):
        raise ParameterInvalid(
            f"model {asked.model!r} does {task.name}, not sentence embedding", "model"
        )
    given = asked.model_dump(include={"encoding_format", "dimensions", "truncate"})
    options = task.parse_options({name: v for name, v in given.items() if v is not None})
    asks = [Ask(instance, options) for instance in inputs_of(asked)]
    prediction = await while_connected(request, predict(model, asks, terms(request)))
    answers = prediction.answers
    tokens = sum(int(str(answer["tokens"])) for answer in answers)
    head = {
        "object": "list",
        "model": model.key.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    data = [
        {"object": "embedding", "index": index, "embedding": answer["embedding"]}
        for index, answer in enumerate(answers)
    ]
    timing = {"server-timing": server_timing(request, prediction.phases)}
    return Json(await json_list(data, head, "data"), headers=timing | model_headers(model))
