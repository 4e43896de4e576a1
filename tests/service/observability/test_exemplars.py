"""One request stands for each bucket: the newest, whichever front end had it."""

import json

from service.observability.exemplars import Exemplar, Exemplars
from service.observability.histogram import SECONDS


def test_a_bound_belongs_to_its_own_bucket_and_the_last_bucket_is_open() -> None:
    exemplars = Exemplars()
    exemplars.observed(SECONDS[2], "at", at=1.0)
    exemplars.observed(SECONDS[-1] * 2, "above", at=1.0)
    assert exemplars.of(2) == Exemplar(1.0, SECONDS[2], "at")
    assert exemplars.of(len(SECONDS)) == Exemplar(1.0, SECONDS[-1] * 2, "above")
    assert exemplars.of(3) is None


def test_the_newer_of_two_front_ends_stays_also_after_crossing_as_json() -> None:
    own, others = Exemplars(), Exemplars()
    own.observed(0.0002, "own-newer", at=20.0)
    own.observed(0.3, "own-older", at=10.0)
    others.observed(0.0002, "other-older", at=15.0)
    others.observed(0.3, "other-newer", at=15.0)
    others.observed(3.0, "other-alone", at=1.0)
    own.add(json.loads(json.dumps(others.dump())))
    found = [exemplar.trace_id for b in range(len(SECONDS) + 1) if (exemplar := own.of(b))]
    assert found == ["own-newer", "other-newer", "other-alone"]
