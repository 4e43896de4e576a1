"""A real Alertmanager, and a receiver that it notifies."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.grafana.prometheus import free_port, process
from tests.tools import tool

Notifications = queue.Queue[dict[str, Any]]


@contextmanager
def running(folder: Path, pager: str) -> Iterator[str]:
    """Its host:port. Who is paged is told at `pager`; tickets go nowhere."""
    at = f"127.0.0.1:{free_port()}"
    configuration = folder / "alertmanager.yml"
    configuration.write_text(yaml.safe_dump(_configuration(pager)))
    command = [
        str(tool("alertmanager")),
        f"--config.file={configuration}",
        f"--storage.path={folder / 'alerts'}",
        f"--web.listen-address={at}",
        "--cluster.listen-address=",
    ]
    with process(command, folder / "alertmanager.log", f"http://{at}/-/ready"):
        yield at


def _configuration(pager: str) -> dict[str, Any]:
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "namespace"],
            "group_wait": "1s",
            "routes": [{"receiver": "pager", "matchers": ['severity="page"']}],
        },
        "receivers": [
            {"name": "nobody"},
            {"name": "pager", "webhook_configs": [{"url": pager}]},
        ],
    }


@contextmanager
def receiver() -> Iterator[tuple[str, Notifications]]:
    """Its address, and what arrived there."""
    arrived: Notifications = queue.Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", arrived
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
