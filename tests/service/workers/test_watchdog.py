"""The worker's own watch asks once, and only those that are late."""

from service.workers.pulse import BATCH_LANE, LOAD_LANE, Doing, Pulse
from service.workers.watchdog import Watchdog


def test_what_runs_too_long_is_told_to_stop_once() -> None:
    pulse, told = Pulse.create(), []
    now = [0.0]
    watchdog = Watchdog(pulse, told.append, limit_s=5.0, clock=lambda: now[0])
    pulse.begin(BATCH_LANE, handle=1, ident=7)
    pulse.begin(LOAD_LANE, handle=2)
    [batch, _] = pulse.everything()
    for seconds, expected in ((4.9, []), (5.1, []), (6.0, [batch]), (6.1, [batch]), (6.2, [batch])):
        now[0] = batch.began + seconds
        pulse.end(LOAD_LANE)
        watchdog.look()
        assert told == expected
    pulse.begin(BATCH_LANE, handle=1, ident=8)
    [later] = pulse.everything()
    now[0] = later.began + 5.1
    watchdog.look()
    watchdog.look()
    assert told == [batch, later]


def test_a_clock_that_jumps_over_the_limit_stops_nothing_that_then_ends() -> None:
    pulse = Pulse.create()
    now = [0.0]
    watchdog = Watchdog(pulse, _nobody, limit_s=5.0, clock=lambda: now[0])
    for ident in range(3):
        pulse.begin(BATCH_LANE, handle=1, ident=ident)
        [doing] = pulse.everything()
        now[0] = doing.began + 3600.0
        watchdog.look()


def test_every_look_is_a_beat() -> None:
    pulse = Pulse.create()
    watchdog = Watchdog(pulse, _nobody, limit_s=5.0)
    for _ in range(3):
        watchdog.look()
    assert pulse.beats == 3


def _nobody(doing: Doing) -> None:
    raise AssertionError(doing)
