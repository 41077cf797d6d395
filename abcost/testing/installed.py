"""What an installed plug-in promises."""

from __future__ import annotations

from abcost.doctor import registered
from abcost.plugins import found
from abcost.testing.contract import hold


def check_plugin(distribution: str) -> dict[str, str]:
    """Entry point -> what it registers, as `abcost doctor` says it.

    Raises AssertionError unless the package of this name is installed with entry points for abcost, and each of them
    can be imported, registers something, and takes no name of another's.
    """
    own = [plugin for plugin in found() if plugin.distribution.partition(" ")[0] == distribution]
    others = sorted({plugin.distribution.partition(" ")[0] for plugin in found()})
    hold(
        bool(own),
        f"no entry point for abcost is installed by {distribution!r} (by: {', '.join(others) or 'no package'})",
    )
    answer = {}
    for plugin in own:
        state, detail = registered(plugin)
        hold(state == "ok", detail)
        answer[f"{plugin.group}: {plugin.name}"] = detail
    return answer
