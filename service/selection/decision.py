"""The rule by which a comparison becomes a choice. Pure; docs/selection.md states it in words.

A candidate must gain clearly over the graph as it was exported, or that one stays: less is noise, and what
was verified at training needs no reason to be served. Among those that are about as fast as the fastest,
the one whose answers lie closest to the reference's is taken.
"""

from models.manifest import ManifestDraft
from models.runtimes.base import LoadTimeout
from service.selection.choice import Choice, variant_of
from service.selection.trial import SHORT_MS, Comparison, Trial

LEAST_GAIN = 1.1
_LEAST_GAIN_DISTURBED = 1.5  # best times are robust against other work, but not against any amount
_LEAST_RATIO = 0.95  # no size of request may become slower than that
_ABOUT_AS_FAST = 0.9


def decide(manifest: ManifestDraft, comparison: Comparison) -> Choice:
    """The winner, with the reason in words. The first trial is the one to beat."""
    base, rivals = comparison.trials[0], comparison.trials[1:]
    least = _LEAST_GAIN_DISTURBED if comparison.is_disturbed else LEAST_GAIN
    able = [
        trial
        for trial in rivals
        if trial.gain_over(base) >= least and min(trial.ratios(base)) >= _LEAST_RATIO
    ]
    if not able:
        return base.choice.because(_why_none(comparison, least))
    best = max(trial.gain_over(base) for trial in able)
    close = [trial for trial in able if trial.gain_over(base) >= _ABOUT_AS_FAST * best]
    chosen = min(
        close, key=lambda trial: (_distance(manifest, trial.choice), -trial.gain_over(base))
    )
    return chosen.choice.because(_why(comparison, chosen))


def is_final(comparison: Comparison, chosen: Choice, *, had_full_time: bool) -> bool:
    """Is it worth remembering? Not where other work on the machine may have hidden a gain, ended a trial
    before its time, or taken the time of candidates that were left out."""
    was_late = any(trial.kind == LoadTimeout.reason for trial in comparison.trials)
    has_won = chosen.what != comparison.trials[0].choice.what
    is_seen = has_won or not (comparison.is_disturbed or was_late)
    return is_seen and (had_full_time or not comparison.untried)


def _distance(manifest: ManifestDraft, choice: Choice) -> float:
    """How far its answers may lie from the reference's, as measured when it was made."""
    variant = variant_of(manifest, choice)
    return 0.0 if variant is None else variant.max_difference


def _why(comparison: Comparison, chosen: Trial) -> str:
    base = comparison.trials[0]
    sizes = ", ".join(
        f"{name}: {base.best_ms[name]:.3g} → {ms:.3g} ms" for name, ms in chosen.best_ms.items()
    )
    gain = chosen.gain_over(base)
    return f"{gain:.2f} times as fast as {base.choice} ({sizes}){_also(comparison)}"


def _why_none(comparison: Comparison, least: float) -> str:
    base, rivals = comparison.trials[0], comparison.trials[1:]
    if not rivals and not comparison.untried:
        if not base.best_ms:
            return "there is nothing to measure with"
        name, ms = next(iter(base.best_ms.items()))
        return f"a run takes {ms:.2g} ms ({name}), and no item as much as {SHORT_MS} ms: too little to gain"
    timed = [trial for trial in rivals if trial.best_ms and not trial.error]
    if not timed:
        return f"nothing else could be timed{_also(comparison)}"
    best = max(timed, key=lambda trial: trial.gain_over(base))
    gain, worst = best.gain_over(base), min(best.ratios(base))
    slower = f", {worst:.2f} at one size" if gain >= least else ""
    while_ = " while the machine is busy" if comparison.is_disturbed else ""
    return (
        f"the fastest other, {best.choice}, runs {gain:.2f} times as fast{slower}; "
        f"{least:g} times are wanted{while_}{_also(comparison)}"
    )


def _also(comparison: Comparison) -> str:
    more = [f"{trial.choice} is out ({trial.kind})" for trial in comparison.trials if trial.error]
    if comparison.untried:
        more.append(f"no time was left for {comparison.untried} more")
    return "".join(f"; {each}" for each in more)
