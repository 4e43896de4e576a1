"""The operator's numbers win over the bundle's."""

from models.manifest import Batching
from service.lifecycle.loading import with_overrides
from service.settings import Settings


def test_without_overrides_the_bundle_decides() -> None:
    batching = Batching(max_batch_size=7, max_queue_delay_microseconds=100)
    assert with_overrides(batching, Settings()) == batching


def test_the_operators_numbers_win() -> None:
    settings = Settings(max_batch_size=3, max_queue_delay_microseconds=0, max_queue_size=9)
    batching = Batching(max_batch_size=7, max_queue_delay_microseconds=100)
    changed = with_overrides(batching, settings)
    assert changed.max_batch_size == 3
    assert changed.max_queue_delay_microseconds == 0
    assert changed.default_queue_policy.max_queue_size == 9
