"""`abcost.verify`."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from abcost.api.checked import call
from abcost.api.options import VerifyOptions, rewriting_of, subject_of
from abcost.pipeline import verify_subject
from abcost.verifying import Verification


@call
def verify(model: str | nn.Module, **options: Unpack[VerifyOptions]) -> Verification:
    """Execute every stage next to the one before, in floating and in fixed point, as `abcost verify` does.

    model: as `abcost.analyze` takes it.  options: see `NetworkOptions` and `LoweringOptions`. Untrained networks of
    the zoo get random parameters first, so that no bias is zero and slopes differ. `holds` is the answer.

    Raises AbcostError.
    """
    subject = subject_of(model, options)
    return verify_subject(subject, rewriting_of(options), owned=isinstance(model, str))
