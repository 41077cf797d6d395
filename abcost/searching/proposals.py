"""Candidates as parameters of an Optuna trial, and back; samplers; the first proposals."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from abcost.core.exponents import ExponentSet
from abcost.searching.settings import Settings
from abcost.searching.space import Candidate, Space

if TYPE_CHECKING:
    import optuna

_TOGETHER = 500  # candidates that are priced together, until one is in budget
_FIRST_SHARE = 3  # one in so many trials is one of the first proposals


def suggest(trial: optuna.Trial, space: Space) -> Candidate:
    """The candidate that a trial proposes: per group how many exponents count, and exponents, of which so many do.

    What needs no training of its own is not proposed: all of it is judged (`Space.variants`).
    """
    sets: list[list[int]] = []
    for group in space.groups:
        many = trial.suggest_int(f"{group} size", 1, space.most)
        drawn = [trial.suggest_int(f"{group} {i}", space.low, space.high) for i in range(space.most)]
        sets.append(drawn[:many])
    alpha = trial.suggest_categorical("alpha", space.alphas) if len(space.alphas) > 1 else None
    size = trial.suggest_categorical("network", tuple(space.sizes)) if len(space.sizes) > 1 else None
    return space.candidate(sets, alpha, size=size)


def parameters(candidate: Candidate, space: Space) -> dict[str, int | str | None]:
    """The inverse of `suggest`; exponents beyond the size are those of the set, again."""
    found: dict[str, int | str | None] = {}
    for group, exponents in zip(space.groups, candidate.sets, strict=True):
        counted = exponents or (space.low,)  # of a group that this size of the network does not have
        found[f"{group} size"] = len(counted)
        found |= {f"{group} {i}": counted[i % len(counted)] for i in range(space.most)}
    if len(space.alphas) > 1:
        found["alpha"] = candidate.alpha
    if len(space.sizes) > 1:
        found["network"] = candidate.size
    return found


def sampler_of(settings: Settings, *, salt: Sequence[int]) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of that name; a generation of NSGA-II is a fifth of the trials, 4 to 50.

    Seeded by the study's seed and `salt`: with one seed, a resumed sampler would repeat its proposals.
    """
    import optuna  # noqa: PLC0415

    seed = int(np.random.SeedSequence([settings.seed, *salt]).generate_state(1)[0])
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if settings.sampler == "tpe":
        first = max(5, settings.trials // 5)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, multivariate=True)
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=_generation(settings))


def _generation(settings: Settings) -> int:
    return max(4, min(50, settings.trials // 5))


def learns_now(
    settings: Settings,
    complete: Sequence[optuna.trial.FrozenTrial],
    group: Sequence[optuna.trial.FrozenTrial],
) -> bool:
    """Whether the sampler would propose something else if it knew the values of a group of running trials.

    NSGA-II reads a generation when all of it is complete; random search learns nothing. TPE learns from every trial,
    but a group is proposed without that, just as several workers propose at the same time.
    """
    if settings.sampler != "nsga2" or not group:
        return False
    generations = [g for t in (*complete, *group) for g in _generation_of(t)]
    return bool(generations) and generations.count(max(generations)) >= _generation(settings)


def _generation_of(trial: optuna.trial.FrozenTrial) -> list[int]:
    """The generation that Optuna's sampler has counted a trial to; none for those that others have proposed."""
    return [value for name, value in trial.system_attrs.items() if name.endswith(":generation")]


def first_proposals(
    space: Space,
    trained: Mapping[str, Sequence[int]] | Mapping[str, Mapping[str, Sequence[int]]],
    trials: int,
) -> list[Candidate]:
    """Candidates worth trying first, a third of the trials at most; of every size of the network one at least.

    trained: layer -> exponent of each channel of the start; where there are sizes, size -> that. Per group its most
    frequent exponents, as many as allowed down to one; then one exponent for all. Of a size, first the sets that move
    its slopes the least, and small sets before large ones. Sizes take turns, the least and the largest first, so that
    both ends of the front are known before anything between them.
    """
    of_sizes = [_of_one(space, trained[size], size) for size in _ends_first(list(space.sizes))]  # type: ignore[arg-type]
    of_sizes = of_sizes or [_of_one(space, trained, None)]  # type: ignore[arg-type]
    found = [c for turn in zip_longest(*of_sizes) for c in turn if c is not None]
    return list(dict.fromkeys(found))[: max(1, len(space.sizes), trials // _FIRST_SHARE)]


def _of_one(space: Space, trained: Mapping[str, Sequence[int]], size: str | None) -> list[Candidate]:
    there = space.present(size or "")
    counts = [
        Counter(min(max(e, space.low), space.high) for layer in there.get(name, ()) for e in trained[layer])
        for name in space.groups
    ]
    found = [
        space.candidate([[e for e, _ in count.most_common(many)] for count in counts], size=size)
        for many in range(space.most, 0, -1)
    ]
    if size is not None:
        nearest = [
            space.candidate([_least_moving(space, count, many) for count in counts], size=size)
            for many in range(1, space.most + 1)
        ]
        found = [*nearest, *reversed(found)]
    return found + [space.uniform((e,), size) for e in (-3, -1, -2) if space.low <= e <= space.high]


def _least_moving(space: Space, count: Mapping[int, int], many: int) -> ExponentSet:
    """The set of so many exponents with the least sum over channels of |2**exponent - nearest of the set|."""
    if not count:
        return ExponentSet((space.low,))
    offered = [ExponentSet(s) for s in combinations(range(space.low, space.high + 1), many)]
    return min(offered, key=lambda s: sum(n * min(abs(2.0**e - 2.0**x) for x in s) for e, n in count.items()))


def _ends_first(names: list[str]) -> list[str]:
    return [*names[:1], *names[:0:-1]]


def random_unseen(
    space: Space,
    within: Callable[[Sequence[Candidate]], Sequence[bool]],
    seen: set[str],
    generator: random.Random,
    attempts: int,
) -> Candidate | None:
    """A random candidate that is in budget and not `seen`; None if so many attempts, or all there are, give none."""
    everything = len(space.sets()) ** len(space.groups) * max(1, len(space.alphas)) * max(1, len(space.sizes))
    if everything <= attempts:
        candidates = all_of(space)
        generator.shuffle(candidates)
    else:
        candidates = list(dict.fromkeys(space.random(generator) for _ in range(attempts)))
    unseen = [c for c in candidates if c.key not in seen]
    for part in (unseen[i : i + _TOGETHER] for i in range(0, len(unseen), _TOGETHER)):
        found = next((c for c, good in zip(part, within(part), strict=True) if good), None)
        if found is not None:
            return found
    return None


def all_of(space: Space) -> list[Candidate]:
    """Every candidate of a small space that is trained."""
    sets = product(space.sets(), repeat=len(space.groups))
    choices = product(sets, space.alphas or (None,), tuple(space.sizes) or (None,))
    return list(dict.fromkeys(space.candidate(s, alpha, size=size) for s, alpha, size in choices))
