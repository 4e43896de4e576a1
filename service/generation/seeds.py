"""Random numbers that are computed, not drawn from a stream: equal arguments, equal numbers.

A generator with state would tie an answer to what was sampled before it. Philox is a function of a
counter and a key, so the token at a position depends on the request's seed and that position alone.
"""

_WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) with 53 random bits, determined by its arguments. Of `seed` the low 64 bits
    count."""
    high, low, _, _ = philox4x32(
        (position & _WORD, position >> 32 & _WORD, 0, 0), (seed & _WORD, seed >> 32 & _WORD)
    )
    return ((high >> 5) * 67_108_864 + (low >> 6)) / 9_007_199_254_740_992


def choice_seed(seed: int, index: int) -> int:
    """The seed of answer `index` of several to one prompt, in [-2⁶³, 2⁶³).

    The first answer has the request's own seed, so it is the one that it would be alone. The others'
    differ from each other for certain, the mixing being a bijection for a given `seed`; counting up
    instead would make the second answer to seed 5 the first to seed 6.
    """
    if index == 0:
        return seed
    mixed = _mix(_mix(seed & _LONG) + index * 0x9E3779B97F4A7C15)
    return mixed - 2**64 if mixed >= 2**63 else mixed


def _mix(value: int) -> int:
    """The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators;
    2014), a bijection of 64-bit integers."""
    value &= _LONG
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _LONG
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _LONG
    return value ^ value >> 31


def philox4x32(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011).

    In plain integers: one block takes 3.5 µs, building numpy's generator for it 13 µs.
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1 = (second >> 32) ^ c1 ^ k0, second & _WORD
        c2, c3 = (first >> 32) ^ c3 ^ k1, first & _WORD
        k0, k1 = k0 + 0x9E3779B9 & _WORD, k1 + 0xBB67AE85 & _WORD
    return c0, c1, c2, c3
