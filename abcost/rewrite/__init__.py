"""Rewriting the op graph: rules, phases, specs and the engine that runs them."""

from abcost.rewrite.engine import Rewritten, rewrite, run_rules
from abcost.rewrite.rule import RewriteOptions

__all__ = ["RewriteOptions", "Rewritten", "rewrite", "run_rules"]
