"""Candidates as parameters of an Optuna trial, and back; samplers; the first proposals."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from abcost.searching.settings import Settings
from abcost.searching.space import Candidate, Space

if TYPE_CHECKING:
    import optuna

_FIRST_SHARE = 3  # one in so many trials is one of the first proposals


def suggest(trial: optuna.Trial, space: Space) -> Candidate:
    """The candidate that a trial proposes: per group a size, and as many exponents of which that many count."""
    sets: list[list[int]] = []
    for group in space.groups:
        size = trial.suggest_int(f"{group} size", 1, space.most)
        drawn = [trial.suggest_int(f"{group} {i}", space.low, space.high) for i in range(space.most)]
        sets.append(drawn[:size])
    alpha = trial.suggest_categorical("alpha", space.alphas) if len(space.alphas) > 1 else None
    scale = trial.suggest_categorical("scale", space.scales) if len(space.scales) > 1 else None
    return space.candidate(sets, alpha, scale)


def parameters(candidate: Candidate, space: Space) -> dict[str, int | str | None]:
    """The inverse of `suggest`; exponents beyond the size are those of the set, again."""
    found: dict[str, int | str | None] = {}
    for group, exponents in zip(space.groups, candidate.sets, strict=True):
        found[f"{group} size"] = len(exponents)
        found |= {f"{group} {i}": exponents[i % len(exponents)] for i in range(space.most)}
    if len(space.alphas) > 1:
        found["alpha"] = candidate.alpha
    if len(space.scales) > 1:
        found["scale"] = candidate.scale
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
    and a group is proposed without that, as what several workers try is.
    """
    if settings.sampler != "nsga2" or not group:
        return False
    generations = [g for t in (*complete, *group) for g in _generation_of(t)]
    return bool(generations) and generations.count(max(generations)) >= _generation(settings)


def _generation_of(trial: optuna.trial.FrozenTrial) -> list[int]:
    """The generation that Optuna's sampler has counted a trial to; none for those that others have proposed."""
    return [value for name, value in trial.system_attrs.items() if name.endswith(":generation")]


def first_proposals(space: Space, trained: Mapping[str, Sequence[int]], trials: int) -> list[Candidate]:
    """Candidates worth trying first, a third of the trials at most.

    trained: layer -> exponent of each channel of the start. Per group its most frequent exponents, as many as
    allowed down to one; then one exponent for all.
    """
    counts = [
        Counter(min(max(e, space.low), space.high) for layer in layers for e in trained[layer])
        for layers in space.groups.values()
    ]
    found = [
        space.candidate([[e for e, _ in count.most_common(size)] for count in counts])
        for size in range(space.most, 0, -1)
    ]
    found += [space.uniform((e,)) for e in (-3, -1, -2) if space.low <= e <= space.high]
    return list(dict.fromkeys(found))[: max(1, trials // _FIRST_SHARE)]


def random_unseen(
    space: Space,
    within: Callable[[Sequence[Candidate]], Sequence[bool]],
    seen: set[str],
    generator: random.Random,
    attempts: int,
) -> Candidate | None:
    """A random candidate that is in budget and not `seen`; None if so many attempts, or all there are, give none."""
    everything = len(space.sets()) ** len(space.groups) * max(1, len(space.alphas)) * len(space.scales)
    if everything <= attempts:
        candidates = all_of(space)
        generator.shuffle(candidates)
    else:
        candidates = list(dict.fromkeys(space.random(generator) for _ in range(attempts)))
    unseen = [c for c in candidates if c.key not in seen]
    return next((c for c, good in zip(unseen, within(unseen), strict=True) if good), None)


def all_of(space: Space) -> list[Candidate]:
    """Every candidate of a small space."""
    choices = product(product(space.sets(), repeat=len(space.groups)), space.alphas or (None,), space.scales)
    return [Candidate(*choice) for choice in choices]
