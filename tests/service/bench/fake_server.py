"""A server of streamed completions that answers as a test wants, on a thread with a loop of its own."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

DONE = b"data: [DONE]\n\n"


def chunk(text: str, **more: object) -> bytes:
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "text": text}], **more}).encode() + b"\n\n"
    )


def counted(prompt: int, written: int, cached: int = 0) -> bytes:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"


@dataclass
class FakeServer:
    """Writes three tokens to whoever asks; `status` other than 200 refuses. `silent`: takes and keeps."""

    status: int = 200
    code: str = "queue_full"
    is_silent: bool = False
    closes: bool = False
    port: int = 0
    asked: list[dict[str, object]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    is_loaded: threading.Event = field(default_factory=threading.Event)  # streams were asked for
    open_lines: int = 0
    most_lines: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_lines += 1
        self.most_lines = max(self.most_lines, self.open_lines)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode(), reader, writer)
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_lines -= 1
            writer.close()

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(lines.get("content-length", 0)))
        self.paths.append(head.split()[1])
        document = json.loads(body) if body else {}
        self.asked.append(document)
        if self.is_silent:
            await asyncio.Event().wait()
        if self.status != 200:
            error = {"error": {"message": "try later", "code": self.code}}
            _send_json(writer, self.status, error)
        elif document.get("stream"):
            self.is_loaded.set()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            for part in (chunk("a"), chunk("b"), chunk("c"), counted(5, 3), DONE):
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        else:
            words = len(str(document.get("prompt", "")).split())
            _send_json(writer, 200, {"task": "tensor", "usage": {"prompt_tokens": 2 * words}})
        await writer.drain()


def _send_json(writer: asyncio.StreamWriter, status: int, document: object) -> None:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    writer.write(f"{head}\r\n\r\n".encode() + body)


@contextmanager
def running(fake: FakeServer) -> Iterator[FakeServer]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(fake.serve, "127.0.0.1", 0))
    fake.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield fake
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
