"""The whole zoo, every variant and step, executed stage by stage (CIFAR sizes; minutes in all)."""

from __future__ import annotations

import pytest

from abcost.models import STEPS, VARIANTS, catalogue
from abcost.models.subject import Request, resolve
from abcost.pipeline import verify_subject
from abcost.rewrite import RewriteOptions


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", [entry.name for entry in catalogue()])
def test_every_exact_rewrite_is_exact(name, variant, step):
    found = verify_subject(
        resolve(Request(name, variant=variant, step=step, preset="cifar10")), RewriteOptions()
    )
    assert [c for c in found.comparisons if not c.holds] == []
    # the traced graph itself, and at least one exact stage on every probe
    assert sum(c.promised for c in found.comparisons) >= 10
