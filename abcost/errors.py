"""Everything abcost raises on purpose.

AbcostError                what was wrong, where, and what to do; exit status 2
├── UsageError             an option or argument that makes no sense
├── UnknownName            a model, target, variant, … that is not registered
├── DuplicateName          a name that two files register, abcost's, a plug-in's or a user's
├── PluginError            a plug-in that cannot be loaded
├── ModelError             a model that cannot be built, loaded or run
│   └── CheckpointError    a checkpoint that is missing, unreadable, foreign or of the wrong shape
├── TraceError             an operation the tracer cannot represent
│   └── DataDependent      the model asks for the value of an activation
├── GraphError             a graph (file) that breaks the rules of the op graph
├── RewriteError           a rewrite that broke what it promised (a bug in a rule)
├── DataError              a data set that is missing, damaged or of another form than it should be
├── MissingExtra           a package of an extra that is not installed
├── CostError              a cost table, law or target that cannot answer
├── TrainError             a training that cannot go on
├── SearchError            a study that cannot be opened, shared or continued
├── ToolError              a synthesis tool or simulator that is missing, fails or answers nonsense
└── OutputError            a result that could not be written
"""

from __future__ import annotations


class AbcostError(Exception):
    """Base of all deliberate errors; the text is one line and is shown to the user as `error: …`."""


class UsageError(AbcostError):
    """Example: `--width 0`."""


class UnknownName(AbcostError):  # noqa: N818 - reads as a sentence where it is raised
    """Example: `abcost analyze reactnet_19`."""


class DuplicateName(AbcostError):  # noqa: N818 - reads as a sentence where it is raised
    """Example: two installed plug-ins add a model `tiny`."""


class PluginError(AbcostError):
    """Example: the module that an entry point names raises ImportError."""


class ModelError(AbcostError):
    """Example: the factory in the user's file raises."""


class CheckpointError(ModelError):
    """Example: a checkpoint of ReActNet-34 for ReActNet-18."""


class TraceError(AbcostError):
    """Example: an ATen operator without a handler."""


class DataDependent(TraceError):  # noqa: N818 - a condition, not a fault
    """Example: `if x.sum() > 0` while activations carry shapes only."""


class GraphError(AbcostError):
    """Example: a JSON graph with a cycle."""


class RewriteError(AbcostError):
    """Example: a multiply that survived a phase that promised none."""


class DataError(AbcostError):
    """Example: `--data cifar10` without its files."""


class MissingExtra(AbcostError):  # noqa: N818 - reads as a sentence where it is raised
    """Example: `--data digits` without scikit-learn."""


class CostError(AbcostError):
    """Example: a law asked for 64 bits where the table ends at 32."""


class TrainError(AbcostError):
    """Example: the loss is no longer finite."""


class SearchError(AbcostError):
    """Example: `--storage` names a database that cannot be reached."""


class ToolError(AbcostError):
    """Example: no Yosys on PATH, or one that exits 0 and writes nothing."""


class OutputError(AbcostError):
    """Example: `--output` in a folder that cannot be written."""


def one_line(error: BaseException, longest: int = 300) -> str:
    """The message of an error on one line, cut at `longest` characters; what a user's code raised may have none."""
    try:
        text = " ".join(str(error).split())
    except (Exception, SystemExit, GeneratorExit) as inner:  # noqa: BLE001 - an error's own __str__ may raise anything
        text = f"no message, for its __str__ raises {type(inner).__name__}"
    return (text or "no message")[:longest]
