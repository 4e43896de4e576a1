"""What the server says has become of every request, from its metrics: nobody is lost, nobody is counted
twice, nothing stays behind."""

import re
import time
from collections import Counter

from tests.service.conftest import ServerProcess

_SAMPLE = re.compile(r"^(slipway_\w+?)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_LIMIT_S = 10.0

Sample = tuple[str, dict[str, str], float]


def samples(server: ServerProcess) -> list[Sample]:
    with server.client() as client:
        text = client.get("/metrics").text
    found = []
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            name, labels, value = match.groups()
            found.append((name, dict(_LABEL.findall(labels or "")), float(value)))
    return found


def total(server: ServerProcess, name: str, **labels: str) -> float:
    return sum(
        value
        for found, given, value in samples(server)
        if found == name and labels.items() <= given.items()
    )


class Ledger:
    """The answers to one model since this was made."""

    def __init__(self, server: ServerProcess, model: str) -> None:
        self._server = server
        self._model = model
        self._before = self._answers()

    def _answers(self) -> Counter[int]:
        codes: Counter[int] = Counter()
        for name, labels, value in samples(self._server):
            if name == "slipway_requests_total" and labels["model"] == self._model:
                codes[int(labels["code"])] += int(value)
        return codes

    def settled(self, sent: int, unsure: int = 0) -> Counter[int]:
        """Status → count, once `sent` requests have ended one way or another. Fails when they do not, when
        more are counted, or when anything is left in a queue or under way. `unsure`: how many of them
        the server may never have seen."""
        limit = time.monotonic() + _LIMIT_S
        codes: Counter[int] = Counter()
        while True:
            last, codes = codes, self._answers() - self._before
            left = sum(
                total(self._server, name, model=self._model)
                for name in ("slipway_in_flight_requests", "slipway_pending_requests")
            )
            is_complete = codes.total() == sent or (unsure > 0 and codes == last)
            if (is_complete and not left) or time.monotonic() > limit:
                break
            time.sleep(0.05)
        assert sent - unsure <= codes.total() <= sent, f"{sent} sent, {codes} counted"
        assert not left, f"{left} still under way"
        return codes
