from service.edge.refusals import refusal
from service.errors import BadHttp, QueueFull
from tests.service.edge.wire import parse


def test_a_refusal_is_a_whole_answer_in_the_usual_shape() -> None:
    (reply,) = parse(refusal(BadHttp("no"), "id-1", [(b"date", b"today")], closes=True))
    assert reply.status == 400
    assert reply.json() == {"error": "no", "code": "bad_http", "request_id": "id-1"}
    assert reply.headers["x-request-id"] == "id-1"
    assert reply.headers["date"] == "today"
    assert reply.headers["connection"] == "close"
    assert int(reply.headers["content-length"]) == len(reply.body)


def test_when_to_come_back_is_told() -> None:
    (reply,) = parse(refusal(QueueFull("full", 2.1), "id", [], b"x-a: b\r\n", closes=False))
    assert (reply.headers["retry-after"], reply.headers["x-a"]) == ("3", "b")
    assert "connection" not in reply.headers
