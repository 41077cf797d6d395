"""Reports: one frozen result, many renderers. A new format is one file in this folder."""

from __future__ import annotations
