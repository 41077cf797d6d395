"""`abcost search`: the best accuracy within a hardware budget, over sets of slope exponents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet
from abcost.cli.places import named_folder
from abcost.errors import UsageError
from abcost.models.network import REDUCTIONS

if TYPE_CHECKING:
    from abcost.searching.run import RunLocation
    from abcost.searching.settings import Settings
    from abcost.training.config import Config


@takes_network(REDUCTIONS, ["model_arg"])
def search(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="Network of the zoo (abcost models), or your own: file.py:factory; none with --join."
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            parser=named_folder,
            metavar="PATH",
            help="Folder of the results; the same command again continues.",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help="digits, mnist5k, cifar10, cifar100, imagenet, a folder of images, or file.py:function."
        ),
    ] = "digits",
    data_root: Annotated[Path | None, typer.Option(help="Folder that holds the data.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Bundled target or own .toml; default: of --device.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Limits, such as luts=9000,dsps=0,fps>=60; of luts, ffs, dsps, bram36, blocks, uram, area_um2, "
            "energy_uj, weight_kib, latency_ms and fps. Default: LUTs (ASIC: area) are kept low, without a limit."
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            help="What is kept low (fps and accuracy: high), such as luts,loss,energy_uj: loss or accuracy, and any "
            "quantity of --budget. Default: what --budget limits, and loss."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Part that must hold the whole accelerator.")] = None,
    clock_mhz: Annotated[float, typer.Option(help="Its clock.")] = 100.0,
    width: Annotated[
        int | None, typer.Option(help="Bits of the residual path; default: the target's.")
    ] = None,
    fraction_bits: options.FractionBits = 12,
    exponents: Annotated[
        str, typer.Option(help="Range that slopes' exponents come from, LOW:HIGH.")
    ] = "-7:2",
    max_exponents: Annotated[int, typer.Option(help="Most exponents in a set.")] = 4,
    granularity: Annotated[
        str, typer.Option(help="What shares a set: layer, stage (maps of one shape), or network.")
    ] = "layer",
    trials: Annotated[int, typer.Option(help="Candidates that are judged, each in all forms.")] = 40,
    epochs: Annotated[
        str | None,
        typer.Option(
            help="Of each rung of retraining, such as 4,12; 0: none. Default: a tenth and a third of the recipe's."
        ),
    ] = None,
    keep: Annotated[float, typer.Option(help="Share of the candidates that a rung passes on.")] = 0.5,
    finalists: Annotated[int, typer.Option(help="Most points of the front that run in the finals.")] = 6,
    seeds: Annotated[int, typer.Option(help="Trainings of every finalist and baseline.")] = 3,
    images: Annotated[
        int, typer.Option(help="Validation images of the loss without retraining, which discards disasters.")
    ] = 256,
    sampler: Annotated[str, typer.Option(help="nsga2, tpe or random (Optuna's).")] = "nsga2",
    seed: Annotated[int, typer.Option(help="Of the search, of the start and of every retraining.")] = 0,
    init: Annotated[
        Path | None, typer.Option(help="Trained checkpoint to start from; default: trained first.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML with values of the training recipe, as abcost train takes it.")
    ] = None,
    network: Asked = NOTHING,
    alpha_exponents: Annotated[
        str | None,
        typer.Option(
            help="Exponents of the residual scale alpha to choose from, such as -3,-2; published: -2."
        ),
    ] = None,
    weight_scales: Annotated[
        str, typer.Option(help="Roundings of weight scales to choose from: none, po2, csd, such as none,po2.")
    ] = "none",
    widths: Annotated[
        str | None,
        typer.Option(
            help="Bits of the residual path to choose from, such as 8,12,16; judged bit by bit, trained once."
        ),
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(help="Bits of them behind the point to choose from, such as 4,6,8; judged likewise."),
    ] = None,
    base_widths: Annotated[
        str | None,
        typer.Option(
            help="Channels of the first stage to choose from, such as 8,16,32; each network is trained first."
        ),
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option(
            help="Blocks per stage to choose from, such as 1,1/2,2/2,2,2; each network is trained first."
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(help="Parts to choose from: the first that holds a design within the budget is taken."),
    ] = None,
    frame_rates: Annotated[
        str | None,
        typer.Option(
            help="Frames/s to choose from, such as 100,1000: engines are folded as small as reaches them, untrained."
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Database of the study, postgresql://…, mysql://…, sqlite:///…; default: in --run-dir."
        ),
    ] = None,
    study: Annotated[str, typer.Option(help="Name of the study in the storage.")] = "search",
    join: Annotated[
        str | None, typer.Option(help="URL of a search that runs elsewhere: be one of its workers.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that judge candidates; default: one per core.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="processes: on this machine; ray: on a running Ray cluster.")
    ] = "processes",
    group: Annotated[
        int | None,
        typer.Option(help="Retrainings side by side in one step; default: 8 for small networks, else 1."),
    ] = None,
    cpus_per_trial: Annotated[float, typer.Option(help="Of each worker on Ray.")] = 1.0,
    gpus_per_trial: Annotated[float, typer.Option(help="Of each worker on Ray.")] = 0.0,
) -> None:
    """Find sets of slope exponents with the best accuracy within a budget; candidates are retrained.

    Over budget is found out before training. The same command continues where it was broken off.
    """
    there = given(context)
    if join is not None:
        refuse(
            there,
            sorted(there - {"join", "study", "run_dir"}),
            "with --join: the study says what is searched",
        )
        _join(join, study, run_dir)
        return
    if model is None or run_dir is None:
        raise UsageError("name the model and --run-dir, or --join a running search")
    from abcost.searching.claim import held_group
    from abcost.searching.objectives import parse_objectives
    from abcost.searching.storage import check_extra, sqlite_url

    _refuse_twice(there)
    _check_used(
        there, device or devices or frame_rates, budget, executor, epochs, (cpus_per_trial, gpus_per_trial)
    )
    check_extra()
    values = {
        "data": data, "data_root": None if data_root is None else str(data_root), "seed": seed,
        **network.properties, "model_args": network.arguments() or None,
    }  # fmt: skip
    from abcost.training.network import steps_for
    from abcost.training.recipes import configs

    steps = configs(
        model, steps_for(model), file=config, given={k: v for k, v in values.items() if v is not None}
    )
    parts = tuple(name.strip() for name in devices.split(",")) if devices else ()
    wanted = parse_objectives(objectives) if objectives else ()
    asked = {
        "target": target or options.default_target(device or next(iter(parts), None)), "device": device,
        "clock_mhz": clock_mhz,
        "budget": budget or "", "objectives": wanted, "width": width, "fraction_bits": fraction_bits, "keep": keep,
        "finalists": finalists, "seeds": seeds, "sampler": sampler, "seed": seed, "trials": trials, "images": images,
        "group": held_group(run_dir) if group is None else group,
    }  # fmt: skip
    low, high = _range(exponents)
    space = {
        "low": low, "high": high, "most": max_exponents, "scales": tuple(weight_scales.split(",")),
        "alphas": _numbers("--alpha-exponents", alpha_exponents) if alpha_exponents else (),
        "widths": _numbers("--widths", widths) if widths else (),
        "fractions": _numbers("--fractions", fractions) if fractions else (),
        "base_widths": _numbers("--base-widths", base_widths) if base_widths else (),
        "depths": tuple(_numbers("--depths", part) for part in depths.split("/")) if depths else (),
        "devices": parts, "frame_rates": _rates(frame_rates) if frame_rates else (),
    }  # fmt: skip
    from abcost.api.search import cores, settings_of

    with quiet():
        settings = settings_of(steps[-1], asked, space, granularity, _epochs(epochs))
    from abcost.searching.executors.executor import EXECUTORS
    from abcost.searching.run import RunLocation

    EXECUTORS.get(executor)
    place = RunLocation(
        run_dir, storage or sqlite_url(run_dir), study, executor, workers or cores(), cpus_per_trial,
        gpus_per_trial, init,
    )  # fmt: skip
    _run(settings, place, steps)


def _refuse_twice(there: frozenset[str]) -> None:
    """Raise UsageError where one value is given and others to choose from."""
    for one, several in (
        ("width", "widths"), ("fraction_bits", "fractions"), ("base_width", "base_widths"), ("blocks", "depths"),
        ("device", "devices"), ("init", "base_widths"), ("init", "depths"),
    ):  # fmt: skip
        if several in there:
            refuse(there, [one], f"with --{several.replace('_', '-')}, which says what to choose from")


def _check_used(
    there: frozenset[str],
    accelerator: str | None,
    budget: str | None,
    executor: str,
    epochs: str | None,
    shares: tuple[float, float],
) -> None:
    """Raise UsageError for an option that changes nothing, or shares of a machine that are none."""
    from abcost.api.search import check_shares
    from abcost.searching.budget import parse_budget

    if accelerator is None and not (budget and parse_budget(budget).fps):
        refuse(there, ["clock_mhz"], "without --device, --frame-rates or a budget of fps>=…")
    if executor != "ray":
        refuse(there, ["cpus_per_trial", "gpus_per_trial"], "without --executor ray")
    if epochs is not None and epochs.strip() == "0":
        refuse(there, ["keep", "group"], "with --epochs 0: there are no rungs")
    check_shares(*shares)


def _range(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    try:
        return int(low), int(high if colon else low)
    except ValueError:
        raise UsageError(f"--exponents {text!r} is not of the form -7:2, the least and the largest") from None


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a list of whole numbers such as 4,12") from None


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--frame-rates {text!r} is not a list of frames per second such as 100,1000"
        ) from None


def _epochs(text: str | None) -> tuple[int, ...] | None:
    """Epochs of the rungs; None for the default, () for none."""
    found = None if text is None else _numbers("--epochs", text)
    return () if found == (0,) else found


def _run(settings: Settings, place: RunLocation, steps: tuple[Config, ...]) -> None:
    from abcost.api.search import searched
    from abcost.cli.searching import SearchConsole, show
    from abcost.cli.training import Console
    from abcost.searching.run import Impossible
    from abcost.training.interrupt import catching

    with quiet(), catching() as stop, SearchConsole() as listener:
        try:
            found = searched(
                settings, place, steps, listener=listener, training=Console(), stop=lambda: stop.asked
            )
        except Impossible as answer:
            listener.close()
            note(f"no: {answer}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            listener.close()
            note(f"stopped; the same command continues; all results so far are in {place.folder}")
            raise
    show(found.outcome, place)


def _join(url: str, name: str, run_dir: Path | None) -> None:
    import time

    from abcost.searching.studies import join
    from abcost.searching.worker import work
    from abcost.training.interrupt import catching

    with quiet(), catching() as stop:
        studies = join(url, name)
        note(f"working on study {name!r}; Ctrl-C leaves it to the others")
        work(studies, run_dir or Path(studies.folder), int(time.time()), lambda: stop.asked)
    note("the study is finished")
