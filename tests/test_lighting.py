"""Lighting on fixed pixels and draws; every expected value is worked out below. No torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from abcost.data import load
from abcost.data.lighting import amounts, lighten_8bit, lighten_float
from abcost.errors import UnknownName, UsageError

# eigenvalues 0.2175, 0.0188, 0.0045 of the vectors (-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948) and
# (0.4009, -0.8140, 0.4203), each red, green, blue (fb.resnet.torch)
LEVELS = [0, 1, 128, 254, 255]


def grey(levels=LEVELS):
    """One row of grey pixels, (3, 1, len)."""
    return torch.tensor(levels, dtype=torch.uint8).expand(3, 1, len(levels))


def lit(drawn, levels=LEVELS):
    found = lighten_8bit(grey(levels), torch.tensor(drawn))
    assert found.dtype == torch.uint8
    assert found.shape == (3, 1, len(levels))
    return found[:, 0].tolist()


SAME = LEVELS
DOWN = [0, 0, 127, 253, 254]  # 0 stays where it is: held in 0 … 255 before it is cut


@pytest.mark.parametrize(
    ("drawn", "red", "green", "blue"),
    [
        # 0.2175 * 0.1 * (-0.5675, -0.5808, -0.5836) = (-0.0123, -0.0126, -0.0127): 128 - 0.0123 is cut to 127
        ((0.1, 0.0, 0.0), DOWN, DOWN, DOWN),
        # the same with the other sign: 128 + 0.0123 is cut to 128, 255 + 0.0123 is held at 255
        ((-0.1, 0.0, 0.0), SAME, SAME, SAME),
        # 0.0188 * 0.1 * (0.7192, -0.0045, -0.6948) = (+0.0014, -0.0000085, -0.0013): any loss is a whole level
        ((0.0, 0.1, 0.0), SAME, DOWN, DOWN),
        # 0.0045 * 0.1 * (0.4009, -0.8140, 0.4203) = (+0.00018, -0.00037, +0.00019)
        ((0.0, 0.0, 0.1), SAME, DOWN, SAME),
        # red 0.2175 * -0.01 * -0.5675 + 0.0188 * -0.2 * 0.7192 = 0.00123 - 0.00270 = -0.0015
        # green 0.2175 * 0.01 * 0.5808 + 0.0188 * 0.2 * 0.0045 = +0.0013; blue 0.00127 + 0.00261 = +0.0039
        ((-0.01, -0.2, 0.0), DOWN, SAME, SAME),
        ((0.0, 0.0, 0.0), SAME, SAME, SAME),
    ],
)
def test_published_lighting_takes_a_grey_level_or_nothing(drawn, red, green, blue):
    assert lit(drawn) == [red, green, blue]


def test_published_lighting_cuts_towards_zero_and_holds_in_range():
    # draws far from any that occur: 0.2175 * 100 * (-0.5675, -0.5808, -0.5836) = (-12.343, -12.632, -12.693)
    # 128 - 12.343 = 115.66, 128 - 12.632 = 115.37, 128 - 12.693 = 115.31: all cut to 115; 12 - 12.3 is held at 0
    assert lit((100.0, 0.0, 0.0), [0, 12, 13, 128, 255]) == [
        [0, 0, 0, 115, 242],  # 13 - 12.343 = 0.66, 255 - 12.343 = 242.66
        [0, 0, 0, 115, 242],
        [0, 0, 0, 115, 242],
    ]
    # +12.343, +12.632, +12.693: 0 becomes 12, 250 is held at 255
    assert lit((-100.0, 0.0, 0.0), [0, 128, 250]) == [[12, 140, 255]] * 3


def test_lighting_of_floats():
    found = lighten_float(torch.full((3, 1, 2), 0.5), torch.tensor([0.1, -0.2, 0.3]))
    wanted = [
        0.5 + 0.02175 * -0.5675 - 0.00376 * 0.7192 + 0.00135 * 0.4009,
        0.5 + 0.02175 * -0.5808 - 0.00376 * -0.0045 + 0.00135 * -0.8140,
        0.5 + 0.02175 * -0.5836 - 0.00376 * -0.6948 + 0.00135 * 0.4203,
    ]
    assert found.dtype == torch.float32
    assert found[:, 0, 0].tolist() == found[:, 0, 1].tolist() == pytest.approx(wanted, abs=1e-6)


def test_the_two_differ_by_what_is_documented():
    """8-bit: -1 or 0 grey levels. Floats: a standard deviation of 3.2 grey levels in each colour."""
    # N(0, 0.1) times eigenvalues, eigenvectors of length 1: 255 * 0.1 * sqrt(0.2175² + 0.0188² + 0.0045²) = 5.57
    # over three colours, 5.57 / sqrt(3) = 3.2 for each
    generator = torch.Generator().manual_seed(0)
    draws = 0.1 * torch.randn(4000, 3, generator=generator)
    image = torch.full((3, 1, 1), 0.5)
    shifts = torch.stack([(lighten_float(image, drawn) - image).flatten() for drawn in draws])
    assert (255 * shifts.square().mean().sqrt()).item() == pytest.approx(3.2, rel=0.05)
    levels = torch.stack([lighten_8bit(grey([128]), drawn).flatten() for drawn in draws]).int() - 128
    assert set(levels.flatten().tolist()) == {-1, 0}
    assert torch.equal(levels < 0, shifts < 0)


def test_draws_come_from_the_global_generator():
    torch.manual_seed(3)
    wanted = 0.1 * torch.randn(3)
    torch.manual_seed(3)
    assert torch.equal(amounts(), wanted)


# from a data set


class Transforms:
    """Stands in for torchvision.transforms: takes pictures as they are."""

    @staticmethod
    def PILToTensor():
        return lambda picture: torch.from_numpy(np.array(picture)).permute(2, 0, 1)

    RandomResizedCrop = RandomHorizontalFlip = Resize = CenterCrop = staticmethod(
        lambda *_, **__: lambda picture: picture
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("abcost.data.imagenet_augment.require", lambda *_: Transforms)
    for name in ("a", "b"):
        for number in range(3):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (128,) * 3).save(tmp_path / name / f"{number}.png")
    return tmp_path


def in_epochs(folder, lighting, *, augment=True):
    """The grey levels of the first training image in 200 epochs, (200, 3)."""
    split = load(folder, image_size=8, workers=0, lighting=lighting).train
    drawn = [split.batch(torch.tensor([0]), epoch=epoch, augment=augment)[0][0] for epoch in range(200)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return 255 * (torch.stack(drawn)[:, :, 0, 0] * std + mean)


def test_image_files_are_lightened_as_asked(folder):
    published = in_epochs(folder, "8-bit").round(decimals=3)
    assert set(published.flatten().tolist()) == {127.0, 128.0}
    assert 0.3 < (published == 127).float().mean() < 0.7
    assert in_epochs(folder, "float").std() > 2
    assert torch.equal(in_epochs(folder, None), in_epochs(folder, "float"))
    torch.testing.assert_close(in_epochs(folder, "none"), torch.full((200, 3), 128.0))
    torch.testing.assert_close(in_epochs(folder, "8-bit", augment=False), torch.full((200, 3), 128.0))


def test_lighting_is_for_image_files(folder):
    with pytest.raises(
        UsageError, match=r"^lighting 8-bit is for image files; a data set in memory has none"
    ):
        load("digits", lighting="8-bit")
    with pytest.raises(UnknownName, match="no lighting '8bit'; did you mean '8-bit'"):
        load(folder, lighting="8bit")
