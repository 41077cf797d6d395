"""Place and route of a Verilog top: Yosys, then nextpnr, both kept on disk.

    router = Router.find("LFE5U-85F-6CABGA756")
    router.route([Path("top.v"), …], "top", clock_mhz=100, seed=1, mapping="area").fmax_mhz

Placement is random in its seed and repeats itself with one: a few seeds say how far a clock can be trusted.
The target `clock_mhz` decides only what counts as met. Ports need no pins: nextpnr chooses them. Paths from
and to ports count for no clock; a module with more ports than pins goes between registers first
(`abcost.rtl.registered`).

The key of a netlist is a hash of the files, the script and the tool; that of a routing adds nextpnr's options
and version, and the pins that a user gives. Answers are renamed into place: a kill leaves all of one or nothing,
and the next start goes on from there. The placed configuration, megabytes, is kept only where it was asked for.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from abcost.errors import ToolError, UsageError
from abcost.synth.nextpnr import Nextpnr, find_nextpnr
from abcost.synth.parts import MAPPINGS, Part, Untimed, check_mapping, part
from abcost.synth.runner import in_parallel, leaf_cells, remove_leftovers, work_folder
from abcost.synth.tools import Yosys, cache_folder, find_yosys

Mapping_ = Literal["area", "delay"]
"""Whether LUTs are mapped for the least area or for the least delay; the values of MAPPINGS."""

_PINS, _PLACED = "pins.txt", "placed.txt"  # in the folder that nextpnr runs in


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of a path, up to `cell`. kind: clk-to-q | logic | routing | setup; net: of a routing, else ""."""

    kind: str
    delay_ns: float
    cell: str
    net: str


@dataclass(frozen=True, slots=True)
class Routed:
    """What place and route made of a top.

    logic_cells: of the device that are taken, as nextpnr counts after packing; lone carries and flip-flops
    that share no cell with a LUT are among them on iCE40. fmax_mhz: of the slowest clock; None without a path
    between registers. critical_path: of that clock, from register to register. versions: of both tools.
    through_ns: of paths through cells that nextpnr takes for registers (`Untimed`); None without any.
    """

    luts: float
    logic_cells: int
    ffs: float
    dsps: float
    blocks: float
    fmax_mhz: float | None
    critical_path: tuple[Step, ...]
    versions: tuple[str, ...]
    through_ns: float | None = None

    @property
    def delay_ns(self) -> float | None:
        """1 / Fmax in ns: clock to output, logic, routing and setup of the slowest path."""
        return None if self.fmax_mhz is None else 1000 / self.fmax_mhz

    @property
    def logic_ns(self) -> float:
        """What of the slowest path is no wire: clock to output, logic and setup, in ns."""
        return sum(step.delay_ns for step in self.critical_path if step.kind != "routing")


def left_out_ns(routed: Routed) -> float:
    """What paths through cells that nextpnr takes for registers are longer than its slowest path, in ns."""
    delay, through = routed.delay_ns, routed.through_ns
    return 0.0 if delay is None or through is None else max(0.0, through - delay)


@dataclass(frozen=True, slots=True)
class RouteJob:
    """One top to place and route with one seed. sources: file name -> content, Verilog and what it reads.

    hierarchy: keep modules apart in the mapping; memories: may become block RAM and LUT RAM, else flip-flops
    and LUTs. pins: of all ports, as nextpnr reads them (LPF, PCF); "": it chooses them.
    """

    name: str
    top: str
    sources: tuple[tuple[str, str], ...]
    seed: int
    mapping: str
    clock_mhz: float = 100.0
    hierarchy: bool = False
    memories: bool = True
    pins: str = ""

    def __post_init__(self) -> None:
        check_mapping(self.mapping)
        if not 0 < self.clock_mhz <= 10_000:
            raise UsageError(f"a clock is above 0 and at most 10000 MHz, got {self.clock_mhz:g}")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"a seed is an integer from 0 to 2**31 - 1, got {self.seed}")


def route(
    verilog_files: Sequence[Path],
    top: str,
    part_name: str,
    *,
    clock_mhz: float = 100.0,
    seed: int = 1,
    mapping: Mapping_ = "area",
    hierarchy: bool = False,
    data_files: Sequence[Path] = (),
) -> Routed:
    """Place and route module `top` of these files on a part, or the kept answer.

    hierarchy: keep every module apart in the mapping; else only those that say so themselves. data_files:
    what the Verilog reads by their names ($readmemh). Raises ToolError, UsageError.
    """
    job = RouteJob(top, top, read_sources(verilog_files, data_files), seed, mapping, clock_mhz, hierarchy)
    return Router.find(part_name).run(job)


def read_sources(verilog: Sequence[Path], data: Sequence[Path] = ()) -> tuple[tuple[str, str], ...]:
    """(name, content) of all files. Raises ToolError: unreadable, or two of one name."""
    found: dict[str, str] = {}
    for file in (*verilog, *data):
        if file.name in found:
            raise ToolError(
                f"{file}: two files are called {file.name}; place and route needs different names"
            )
        try:
            found[file.name] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"{file}: cannot be read ({error})") from None
    return tuple(found.items())


class Router:
    """Yosys and nextpnr for one part, with a cache folder."""

    def __init__(self, chosen: Part, yosys: Yosys, nextpnr: Nextpnr, cache: Path) -> None:
        """Raises ToolError if the cache folder cannot be made."""
        self.part, self.yosys, self.nextpnr, self.cache = chosen, yosys, nextpnr, cache
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"{error.filename}: {error.strerror}") from None
        remove_leftovers(cache)

    @classmethod
    def find(cls, part_name: str, *, kind: str | None = None, cache: Path | None = None) -> Router:
        """A router with the tools of this machine and the user's cache folder. Raises ToolError, UsageError."""
        chosen = part(part_name)
        return cls(chosen, find_yosys(), find_nextpnr(chosen.family, kind), cache or cache_folder() / "route")

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions of both tools."""
        return str(self.yosys), str(self.nextpnr)

    def script(self, job: RouteJob) -> str:
        """Yosys commands from Verilog to netlist.json and stat.json."""
        options = (" -noflatten" if job.hierarchy else "") + ("" if job.memories else self.part.no_memories)
        reads = [f"read_verilog {name}" for name, _ in job.sources if name.endswith((".v", ".sv", ".vh"))]
        steps = [step.format(top=job.top, options=options) for step in self.part.steps]
        leave = ["tee -q -o stat.json stat -json", "delete */t:$scopeinfo", "write_json netlist.json"]
        return "\n".join([*MAPPINGS[job.mapping], *reads, *steps, *leave]) + "\n"

    def options(self, job: RouteJob) -> list[str]:
        """Options of nextpnr."""
        own = list(self.part.options)
        if job.pins:  # of a board, where a port that is not named must not come out anywhere
            own = [option for option in own if not option.endswith("-allow-unconstrained")]
            own += [f"--{self.part.pins}", _PINS]
        given = ["--json", "netlist.json", "--report", "report.json", "--timing-allow-fail", "-q"]
        return [*own, *given, "--freq", f"{job.clock_mhz:g}", "--seed", str(job.seed)]

    def netlist_key(self, job: RouteJob) -> str:
        """Hash of all that decides the netlist."""
        parts = [str(self.yosys), self.script(job), *(text for pair in job.sources for text in pair)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def key(self, job: RouteJob) -> str:
        """Hash of all that decides the answer; the clock does not."""
        parts = [self.netlist_key(job), str(self.nextpnr), *self._decides_placement(job)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def placement_key(self, job: RouteJob, netlist: bytes) -> str:
        """Hash of all that decides a placement: both mappings of a unit may give one netlist, placed once."""
        parts = [str(self.nextpnr), *self._decides_placement(job), hashlib.sha256(netlist).hexdigest()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _decides_placement(self, job: RouteJob) -> list[str]:
        """Options without the clock, for which nextpnr places alike, and the pins."""
        options = self.options(job)
        del options[options.index("--freq") + 1]
        return [*options, job.pins] if job.pins else options

    def known(self, job: RouteJob) -> Routed | None:
        """The kept answer, or None; a damaged file counts as none."""
        return self._read(self.key(job))

    def netlist(self, job: RouteJob) -> dict[str, Any] | None:
        """Yosys' netlist of a job, as nextpnr reads it, if it is kept."""
        try:
            content = json.loads(gzip.decompress(self._netlist_file(job).read_bytes()))
            return dict(content["netlist"])
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None

    def _read(self, key: str) -> Routed | None:
        try:
            data = json.loads(self._file(key).read_text())
            path = tuple(Step(**step) for step in data.pop("critical_path"))
            return Routed(**{**data, "versions": tuple(data["versions"])}, critical_path=path)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def run(self, job: RouteJob) -> Routed:
        """The kept answer, or a new one. Raises ToolError."""
        kept = self.known(job)
        if kept is not None:
            return kept
        with self._folder() as folder:
            cells, netlist = self._netlist(job, folder)
            return self._place(job, folder, cells, netlist)

    def run_configured(self, job: RouteJob) -> tuple[Routed, bytes]:
        """The answer, and the configuration of the part, which its packer takes; both kept, or placed anew.

        Raises ToolError, also for a part that has no packer here.
        """
        packing = self.part.packing
        if packing is None:
            raise ToolError(f"{self.part.name}: nothing packs a bitstream for it here")
        with self._folder() as folder:
            cells, netlist = self._netlist(job, folder)
            file = self._configuration_file(self.placement_key(job, netlist))
            kept = _unzipped(file)
            if kept is not None:
                return self._place(job, folder, cells, netlist), kept
            counts, more = self.part.counts(cells), (packing.option, _PLACED)
            routed = self._place_anew(job, folder, counts, netlist, more)
            if not (folder / _PLACED).exists():
                raise ToolError(f"nextpnr ended without an error but placed nothing of {job.name}")
            made = (folder / _PLACED).read_bytes()
            self._keep(gzip.compress(made), file, folder)
            self._keep_answer(routed, job, netlist, folder)
            return routed, made

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """A work folder in the cache. Raises ToolError if it, or what is kept beside it, cannot be written."""
        try:
            with work_folder(self.cache) as folder:
                yield folder
        except OSError as error:
            raise ToolError(
                f"the folder of finished routings, {self.cache}, cannot be written ({error.strerror})"
            ) from None

    def run_all(
        self,
        jobs: Sequence[RouteJob],
        *,
        workers: int | None = None,
        done: Callable[[RouteJob], None] = lambda _job: None,
    ) -> dict[str, Routed | ToolError]:
        """All jobs in parallel -> answers by key, a ToolError for those that failed; see `in_parallel`.

        Jobs that share a netlist (seeds of one top) should stand behind each other: the first one makes it.
        """
        return in_parallel(
            {self.key(job): job for job in jobs}, self.run, workers or os.cpu_count() or 1, done
        )

    def _netlist(self, job: RouteJob, folder: Path) -> tuple[dict[str, int], bytes]:
        """Cells by type, and nextpnr's input: kept, or synthesized in `folder`."""
        file = self._netlist_file(job)
        try:
            content = json.loads(gzip.decompress(file.read_bytes()))
            return dict(content["cells"]), json.dumps(content["netlist"]).encode()
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            pass
        for name, text in job.sources:
            (folder / name).write_text(text)
        self.yosys.run(self.script(job), folder)
        try:
            statistics = json.loads((folder / "stat.json").read_text())
            netlist = json.loads((folder / "netlist.json").read_text())
            content = {"cells": leaf_cells(statistics, job.top), "netlist": netlist}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ToolError(f"Yosys ended without an error but left no netlist of {job.name}") from None
        self._keep(gzip.compress(json.dumps(content).encode()), file, folder)
        return content["cells"], json.dumps(netlist).encode()

    def _place(self, job: RouteJob, folder: Path, cells: Mapping[str, int], netlist: bytes) -> Routed:
        routed = self._read(self.placement_key(job, netlist))
        if routed is None:
            routed = self._place_anew(job, folder, self.part.counts(cells), netlist)
        self._keep_answer(routed, job, netlist, folder)
        return routed

    def _keep_answer(self, routed: Routed, job: RouteJob, netlist: bytes, folder: Path) -> None:
        for key in (self.placement_key(job, netlist), self.key(job)):
            self._keep(json.dumps(asdict(routed)).encode(), self._file(key), folder)

    def _place_anew(
        self,
        job: RouteJob,
        folder: Path,
        counts: Mapping[str, float],
        netlist: bytes,
        more: Sequence[str] = (),
    ) -> Routed:
        """more: options that change no placement."""
        (folder / "netlist.json").write_bytes(netlist)
        if self.part.sites:
            (folder / "pins.pdc").write_text(_pins(job, json.loads(netlist), self.part))
        if job.pins:
            (folder / _PINS).write_text(job.pins)
        self.nextpnr.run([*self.options(job), *more], folder)
        try:
            report = json.loads((folder / "report.json").read_text())
        except (OSError, ValueError):
            raise ToolError(f"nextpnr ended without an error but left no report of {job.name}") from None
        return read_report(report, counts, self.part, self.versions)

    def _keep(self, content: bytes, file: Path, folder: Path) -> None:
        (folder / "kept").write_bytes(content)
        file.parent.mkdir(exist_ok=True)
        (folder / "kept").replace(file)

    def _netlist_file(self, job: RouteJob) -> Path:
        return self._file(f"{self.netlist_key(job)}-netlist").with_suffix(".json.gz")

    def _configuration_file(self, placement: str) -> Path:
        return self._file(f"{placement}-placed").with_suffix(".gz")

    def _file(self, key: str) -> Path:
        return self.cache / key[:2] / f"{key}.json"


def _unzipped(file: Path) -> bytes | None:
    """What it holds; a damaged file counts as none."""
    try:
        return gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None


def read_report(
    report: Mapping[str, Any], counts: Mapping[str, float], chosen: Part, versions: tuple[str, ...]
) -> Routed:
    """What a report of nextpnr says, with the counts of the netlist. Raises ToolError for another form."""
    try:
        fmax = {str(clock): float(found["achieved"]) for clock, found in report["fmax"].items()}
        slowest = min(fmax, key=lambda clock: fmax[clock]) if fmax else None
        cells = report["utilization"].get(chosen.logic_cell, {"used": 0})["used"]
        path = _path(report["critical_paths"], slowest) if slowest is not None else ()
        through = (
            None if chosen.untimed is None else _through(report["detailed_net_timings"], chosen.untimed, fmax)
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ToolError("nextpnr's report is not in the form that abcost reads (0.4 to 0.11)") from None
    return Routed(
        luts=counts["luts"],
        logic_cells=int(cells),
        ffs=counts["ffs"],
        dsps=counts["dsps"],
        blocks=counts["blocks"],
        fmax_mhz=None if slowest is None else fmax[slowest],
        critical_path=path,
        versions=versions,
        through_ns=through,
    )


def _through(nets: Sequence[Mapping[str, Any]], untimed: Untimed, clocks: Iterable[str]) -> float | None:
    """The latest arrival at such a cell, what it takes, and the latest arrival of what it sends out.

    nets: each with its driver, the clock edge that sent it, and when it arrives where, and for which edge. A cell
    without registers counts to nextpnr as one of a clock that never ticks, in whose time it says when the results
    arrive; one that has taken registers in has what comes to it, or what it sends, in the same cycle, and not both.
    """
    ticks = {f"{edge} {clock}" for clock in clocks for edge in ("posedge", "negedge")}
    into, out = {False: 0.0, True: 0.0}, {False: 0.0, True: 0.0}  # by whether the cell has registers
    sent = {net.get("event") for net in nets if str(net["driver"]).endswith(untimed.suffix)}
    for net in nets:
        own = str(net["driver"]).endswith(untimed.suffix)
        for end in net["endpoints"]:
            delay = max(end["delay"])
            if str(end["cell"]).endswith(untimed.suffix):
                into[end["event"] in ticks] = max(into[end["event"] in ticks], delay)
            elif own or net.get("event") in sent - ticks:
                out[net.get("event") in ticks] = max(out[net.get("event") in ticks], delay)
    paths = [untimed.ns + delay for delay in (into[True], out[True]) if delay]
    paths += [into[False] + untimed.ns + out[False]] if into[False] and out[False] else []
    return max(paths, default=None)


def _path(paths: Sequence[Mapping[str, Any]], clock: str) -> tuple[Step, ...]:
    """The steps of the path between two edges of this clock."""
    for found in paths:
        ends = [str(found[end]).split(" ", 1) for end in ("from", "to")]
        if all(len(end) == 2 and end[1] == clock for end in ends):
            return tuple(
                Step(
                    str(step["type"]), float(step["delay"]), str(step["to"]["cell"]), str(step.get("net", ""))
                )
                for step in found["path"]
            )
    raise KeyError(clock)


def _pins(job: RouteJob, netlist: Mapping[str, Any], chosen: Part) -> str:
    """Physical constraints that give each bit of each port one of the part's sites."""
    ports = netlist["modules"][job.top]["ports"]
    names = [
        name if len(port["bits"]) == 1 else f"{name}[{i}]"
        for name, port in ports.items()
        for i in range(len(port["bits"]))
    ]
    if len(names) > len(chosen.sites):
        raise ToolError(
            f"{job.name}: {len(names)} pins, and abcost knows {len(chosen.sites)} of {chosen.name}; "
            "put the module between registers (abcost.rtl.registered)"
        )
    return "".join(
        f"ldc_set_location -site {{{site}}} [get_ports {{{name}}}]\n"
        for name, site in zip(names, chosen.sites, strict=False)
    )
