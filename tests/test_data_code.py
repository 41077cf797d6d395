"""Data sets of the user's own code."""

import pytest
import torch

from abcost.cli import run
from abcost.data import load
from abcost.errors import DataError, UsageError

STRIPES = """
import torch

def stripes():
    '''Rows or columns: class 0 is bright in every other row, class 1 in every other column.'''
    labels = torch.arange(100) % 2
    images = torch.zeros(100, 1, 8, 8, dtype=torch.uint8)
    images[labels == 0, :, ::2] = 255
    images[labels == 1, :, :, ::2] = 255
    return images, labels
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(STRIPES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_splits_and_pixels(folder):
    found = load("own.py:stripes")
    # a fifth of each class's 50 images is for testing, a fifth of the other 40 for validation
    assert [len(found.train), len(found.validation), len(found.test)] == [64, 16, 20]
    assert (found.classes, found.input_shape, found.preset) == (("0", "1"), (3, 8, 8), "cifar10")
    images, labels = found.test.batch(torch.arange(20), epoch=0, augment=False)
    for image, label in zip(images[:, 0] > 0, labels, strict=True):  # bright pixels, red channel
        stripes = image if label == 0 else image.T
        assert stripes[::2].all()
        assert not stripes[1::2].any()


def test_the_same_images_as_floating_point(folder):
    (folder / "own.py").write_text(
        STRIPES
        + "\n\ndef real():\n    images, labels = stripes()\n    return images.numpy() / 255, labels.numpy()\n"
    )
    index = torch.arange(20)
    ours, real = (
        load(f"own.py:{name}").test.batch(index, epoch=0, augment=False) for name in ("stripes", "real")
    )
    assert torch.allclose(ours[0], real[0])
    assert torch.equal(ours[1], real[1])


def test_training_on_it(folder, capsys):
    network = "reactnet_18 --base-width 4 --blocks 1"
    recipe = "--data own.py:stripes --epochs 8 --step 1 --batch-size 16 --lr 1e-2"
    assert run(["train", *network.split(), *recipe.split(), "--run-dir", "runs"]) == 0
    evaluated = ["evaluate", "reactnet_18", "--checkpoint", "runs/best.pt", "--data", "own.py:stripes"]
    assert run([*evaluated, "--format", "json"]) == 0
    assert '"images": 20' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1", r"own.py has no 'make'; name a function or class that makes the data set"),
        ("def make(): return 3", r"gave a int; return \(images, labels\)"),
        ("def make(): return 'ab', [1]", r"gave what is no tensor"),
        ("def make(): return torch.zeros(2, 8, 8), [0, 1]", r"images of shape 2x8x8; they must be Nx1xHxH"),
        ("def make(): return torch.zeros(2, 1, 8, 9), [0, 1]", r"images of shape 2x1x8x9"),
        (
            "def make(): return torch.ones(2, 1, 8, 8) * 255, [0, 1]",
            r"use uint8, or floating point from 0 to 1",
        ),
        ("def make(): return torch.full((2, 1, 8, 8), float('nan')), [0, 1]", r"floating point from 0 to 1"),
        ("def make(): return torch.zeros(2, 1, 8, 8), [0., 1.]", r"labels that are not 2 whole numbers"),
        ("def make(): return torch.zeros(2, 1, 8, 8), [0]", r"labels that are not 2 whole numbers"),
        ("def make(): return torch.zeros(2, 1, 8, 8), [1, 2]", r"labels that are not 0, 1, 2, …"),
        ("def make(): return torch.zeros(2, 1, 8, 8), [0, 10**12]", r"labels that are not 0, 1, 2, …"),
        (
            "def make(): return torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=int)",
            r"labels that are not 0, 1",
        ),
        ("def make(): raise KeyError('x')", r"own.py:make raised KeyError: 'x'"),
        ("1 / 0", r"own.py raised ZeroDivisionError while it was loaded"),
    ],
)
def test_what_is_no_data_set_is_refused(folder, code, reason):
    (folder / "own.py").write_text(f"import torch\n{code}\n")
    with pytest.raises(DataError, match=reason):
        load("own.py:make")


def test_a_root_or_another_size_contradicts(folder):
    with pytest.raises(UsageError, match=r"--data-root is for data sets in files"):
        load("own.py:stripes", "elsewhere")
    with pytest.raises(UsageError, match=r"images of own.py:stripes are 8x8"):
        load("own.py:stripes", image_size=16)
