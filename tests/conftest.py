"""Settings that the whole suite shares."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("abcost", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("abcost")
