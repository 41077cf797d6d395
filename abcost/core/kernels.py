"""Compiled kernels of fixed-point execution: built once by the machine's C compiler, kept, loaded by ctypes.

Nothing needs them: without a compiler (or with ABCOST_KERNELS=off) the interpreter computes the same bits with torch.
The library is kept under the user's cache folder by a hash of source, flags, compiler and processor, and renamed into
place, so that a kill leaves none by half.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-ffp-contract=fast",  # what is computed here is exact, fused or not
    "-ffinite-math-only",  # minima and maxima as one instruction; nothing infinite is handed over
    "-fno-signed-zeros",
    "-fno-trapping-math",  # else floor stays a call for each number
    "-shared",
    "-fPIC",
)
COMPILERS = ("cc", "gcc", "clang")
SWITCH = "ABCOST_KERNELS"
MOST_WORDS, MOST_TAPS, MOST_TILE = 1024, 1024, 4096
"""As in kernels.c."""
_TIMEOUT = 120  # seconds of a compilation, which takes one or two


class Convolution(ctypes.Structure):
    """`struct convolution` of kernels.c."""

    _fields_ = tuple(
        (name, ctypes.c_int64)
        for name in (
            *("height", "width", "pixel_bytes", "first_byte", "group_bytes"),
            *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w"),
            *("out_height", "out_width", "out_channels", "first_channel", "channels"),
            *("padded_channels", "taps", "row_words"),
        )
    )


class KernelPlace(ctypes.Structure):
    """`struct place` of kernels.c."""

    _fields_ = (("base", ctypes.c_void_p), ("walked", ctypes.c_int64))


class KernelOperation(ctypes.Structure):
    """`struct operation` of kernels.c."""

    _fields_ = (
        ("code", ctypes.c_int64),
        ("to", ctypes.c_int64),
        ("left", ctypes.c_int64),
        ("right", ctypes.c_int64),
        ("constant", ctypes.c_void_p),
        ("other", ctypes.c_void_p),
        ("low", ctypes.c_double),
        ("high", ctypes.c_double),
        ("at_zero", ctypes.c_int64),
        ("on_grid", ctypes.c_int64),
        ("stored", ctypes.c_int64),
    )


class Met(ctypes.Structure):
    """`struct met` of kernels.c."""

    _fields_ = tuple(
        (name, ctypes.c_double) for name in ("least", "largest", "lowest", "highest", "overflows")
    )


_OPERATIONS = (
    "from_sums affine add subtract multiply add_constant times_constant clamp prelu negate maximum minimum "
    "maximum_constant minimum_constant decide pack"
)
CODES = {name: number for number, name in enumerate(_OPERATIONS.split())}
"""The enum of kernels.c."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The loaded library, or None and why there is none; `about` is one line for people."""

    library: ctypes.CDLL | None
    about: str


def kernels() -> ctypes.CDLL | None:
    """The library, compiled if need be; None where it is switched off or cannot be had."""
    return None if os.environ.get(SWITCH, "").lower() == "off" else _load().library


def describe() -> Kernels:
    """The library and what to say of it."""
    if os.environ.get(SWITCH, "").lower() == "off":
        return Kernels(None, f"switched off by {SWITCH}=off: binary products are computed by torch")
    return _load()


@cache
def _load() -> Kernels:
    """Compile or find, and load. Never raises: what fails is said."""
    compiler = _compiler()
    if compiler is None:
        return Kernels(None, "no C compiler (cc, gcc, clang): binary products are computed by torch")
    try:
        version = _run([compiler, "--version"]).partition("\n")[0]
        place = _folder() / f"{_key(version)}.so"
        if not place.exists():
            _compile(compiler, place)
        library = ctypes.CDLL(str(place))
        _declare(library)
    except (OSError, AttributeError, subprocess.SubprocessError) as error:
        why = " ".join(str(error).split())[:200]
        return Kernels(None, f"{compiler} gives no kernels ({why}): binary products are computed by torch")
    return Kernels(library, f"XOR and popcount, compiled by {version}; {place}")


def _compiler() -> str | None:
    """$CC if that is a program, else the first of COMPILERS on PATH."""
    for name in (os.environ.get("CC") or "", *COMPILERS):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "abcost" / "kernels"


def _key(version: str) -> str:
    said = "\n".join([SOURCE.read_text(), *FLAGS, version, _processor()])
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _processor() -> str:
    """What -march=native depends on: model and flags of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _compile(compiler: str, place: Path) -> None:
    """Raises OSError or SubprocessError."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".so", dir=place.parent)
    os.close(handle)
    try:
        _run([compiler, *FLAGS, "-o", name, str(SOURCE), "-lm"])
        Path(name).replace(place)
    finally:
        Path(name).unlink(missing_ok=True)


def _run(command: list[str]) -> str:
    """What the program prints. Raises OSError, with its first line of errors, if it fails."""
    done = subprocess.run(  # noqa: S603 - a compiler found on PATH, on a source of ours
        command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.strip().partition("\n")[0] or f"status {done.returncode}")
    return done.stdout.strip()


def _declare(library: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.abcost_convolve.argtypes = [pointer, pointer, pointer, pointer, pointer, number, number, pointer]
    library.abcost_convolve.restype = None
    library.abcost_real_convolve.argtypes = [pointer, pointer, pointer, pointer, number, number]
    library.abcost_real_convolve.restype = None
    library.abcost_pool_sum.argtypes = [pointer, *[number] * 9, pointer]
    library.abcost_pool_sum.restype = None
    library.abcost_pack.argtypes = [pointer, number, number, pointer]
    library.abcost_pack.restype = number
    library.abcost_unpack.argtypes = [pointer, number, number, ctypes.c_double, ctypes.c_double, pointer]
    library.abcost_unpack.restype = None
    library.abcost_chain.argtypes = [
        *(pointer, number, pointer, pointer),
        *(number, number, number, number, ctypes.c_double, ctypes.c_double),
    ]
    library.abcost_chain.restype = None
