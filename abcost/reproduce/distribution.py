"""Where the multiplications of the BN-free networks come from: shares by origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abcost.core.primitives import Origin
from abcost.reproduce.multiplications import Multiplications
from abcost.reproduce.printed import Verdict, percent, two_digits, verdict

ORIGINS = (Origin.ACTIVATION_SCALE, Origin.RESIDUAL_SCALE, Origin.RPRELU, Origin.AVG_POOL)

PUBLISHED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ReActNet-18 (BN-free)": (("1.5 M", "32.7"), ("1.5 M", "32.7"), ("1.5 M", "32.7"), ("0.088 M", "1.9")),
    "ReActNet-A (BN-free)": (("5.0 M", "34.0"), ("4.6 M", "31.7"), ("4.6 M", "31.7"), ("0.38 M", "2.6")),
}
"""Network -> count and share in percent, as printed, in the order of ORIGINS."""


@dataclass(frozen=True, slots=True)
class Share:
    """One origin's part of one network's multiplications; shares are in percent."""

    network: str
    origin: Origin
    published: str  # count, as printed
    published_share: str  # as printed
    count: int  # by the row's own convention
    share: str
    remainder: str  # what the other origins' rounded shares leave of 100
    strict: int  # in our trace
    strict_share: str  # of these four origins
    share_of_all: str  # of every multiplication of the trace: stem, classifier and weight scale too

    @property
    def verdict(self) -> Verdict:
        """Whether the published share and count come out; a share also as the remainder to 100."""
        if two_digits(self.count) != self.published:
            return Verdict.DIFFERS
        return verdict(self.published_share, self.share, self.remainder)


def distribution(rows: Sequence[Multiplications]) -> tuple[Share, ...]:
    """Shares of the networks whose distribution is published."""
    counted = {row.paper.network: row for row in rows}
    return tuple(share for network in PUBLISHED for share in _shares(counted[network]))


def _shares(row: Multiplications) -> list[Share]:
    whole, strict_whole = row.by_convention, sum(row.strict[origin] for origin in ORIGINS)
    shares = {origin: percent(row.own[origin], whole) for origin in ORIGINS}
    found = []
    for origin, (count, share) in zip(ORIGINS, PUBLISHED[row.paper.network], strict=True):
        others = sum(float(text) for other, text in shares.items() if other is not origin)
        found.append(
            Share(
                network=row.paper.network,
                origin=origin,
                published=count,
                published_share=share,
                count=row.own[origin],
                share=shares[origin],
                remainder=f"{100 - others:.1f}",
                strict=row.strict[origin],
                strict_share=percent(row.strict[origin], strict_whole),
                share_of_all=percent(row.strict[origin], sum(row.strict.values())),
            )
        )
    return found
