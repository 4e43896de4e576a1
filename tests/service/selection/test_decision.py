"""The rule: a clear gain and no size slower, or the graph stays as it was exported; near ties go to the
closest answers."""

from models.manifest import Manifest
from service.selection.choice import Choice
from service.selection.decision import decide, is_final
from service.selection.trial import Comparison, Trial
from tests.service.manifests import vector
from tests.service.selection.fakes import BASE, FAST, FASTER, SLOW
from tests.service.selection.test_choice import BF16, INT8

MANIFEST: Manifest = vector(4).model_copy(
    update={"variants": (INT8, BF16.model_copy(update={"max_difference": 0.01}))}
)


def trial(choice: Choice, one: float, eight: float) -> Trial:
    return Trial(choice, {"batch 1": one, "batch 8": eight})


REFERENCE = trial(BASE, 10, 80)


def decided(*trials: Trial, **more: object) -> Choice:
    return decide(MANIFEST, Comparison((REFERENCE, *trials), **more))  # type: ignore[arg-type]


def test_the_fastest_wins_and_says_by_how_much() -> None:
    choice = decided(trial(FAST, 8, 60), trial(FASTER, 4, 20))
    assert choice.what == FASTER
    assert choice.reason == (
        "3.16 times as fast as onnxruntime fp32 on cpu (batch 1: 10 → 4 ms, batch 8: 80 → 20 ms)"
    )


def test_a_gain_within_the_noise_changes_nothing() -> None:
    choice = decided(trial(FAST, 9.5, 76))
    assert choice.what == BASE
    assert choice.reason == (
        "the fastest other, openvino bf16 on cpu, runs 1.05 times as fast; 1.1 times are wanted"
    )


def test_no_size_of_request_becomes_slower() -> None:
    choice = decided(trial(FAST, 12, 20))
    assert choice.what == BASE
    assert "0.83 at one size" in choice.reason


def test_of_two_that_are_about_as_fast_the_closer_answers_win() -> None:
    assert decided(trial(FAST, 4.2, 21), trial(FASTER, 4, 20)).what == FAST
    assert decided(trial(FAST, 5, 25), trial(FASTER, 4, 20)).what == FASTER
    assert decided(trial(SLOW, 4.2, 21), trial(FAST, 4, 20)).what == SLOW, "the graph itself"


def test_on_a_busy_machine_only_a_large_gain_counts() -> None:
    assert decided(trial(FAST, 8, 60), is_disturbed=True).what == BASE
    assert "while the machine is busy" in decided(trial(FAST, 8, 60), is_disturbed=True).reason
    assert decided(trial(FASTER, 4, 20), is_disturbed=True).what == FASTER


def test_those_that_are_out_are_named_without_their_messages() -> None:
    failed = Trial(SLOW, error="/srv/secret: no", kind="exam")
    assert decided(failed).reason == (
        "nothing else could be timed; openvino fp32 on cpu is out (exam)"
    )
    assert "secret" not in decided(failed, trial(FASTER, 4, 20), untried=2).reason
    assert decided(failed, untried=2).reason.endswith("no time was left for 2 more")


def test_a_run_too_short_to_gain_by_another_says_so() -> None:
    short = Comparison((Trial(BASE, {"batch 1": 0.08}),))
    assert decide(MANIFEST, short).reason == (
        "a run takes 0.08 ms (batch 1), and no item as much as 0.5 ms: too little to gain"
    )
    assert decide(MANIFEST, Comparison((Trial(BASE),))).reason == "there is nothing to measure with"


def test_what_was_seen_under_bad_conditions_is_not_remembered() -> None:
    calm = Comparison((REFERENCE, trial(FASTER, 4, 20)))
    busy = Comparison(calm.trials, is_disturbed=True)
    short = Comparison(calm.trials, untried=1)
    assert is_final(calm, BASE, had_full_time=True)
    assert is_final(calm, BASE, had_full_time=False)
    assert not is_final(busy, BASE, had_full_time=True)
    assert is_final(busy, FASTER, had_full_time=True)
    assert is_final(short, FASTER, had_full_time=True)
    assert not is_final(short, FASTER, had_full_time=False)
    late = Comparison((*calm.trials, Trial(SLOW, error="it took too long", kind="timeout")))
    assert not is_final(late, BASE, had_full_time=True)
    assert is_final(late, FASTER, had_full_time=True)
