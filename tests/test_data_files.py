"""Image files: which are found, how they are read, and what is wrong with them; without torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from abcost.data import load
from abcost.data.files import FileSplit
from abcost.data.listing import listing, same_classes
from abcost.errors import DataError, MissingExtra

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class Dyed:
    """Stands in for `Crops`: tests see the picture as it is, training adds one random number."""

    def test(self, picture):
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255

    def train(self, picture):
        return self.test(picture) + torch.rand(())


def paint(path, level, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((5, 4), level, dtype=np.uint8)).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 4 and 3 images of one grey level each: 0, 1, 2, …"""
    names = ["ant/b.png", "ant/c.PNG", "ant/deep/a.jpg", "ant/z.png", "bee/1.png", "bee/10.png", "bee/2.png"]
    for level, name in enumerate(names):
        paint(tmp_path / name, level)
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / "readme.txt").write_text("no class")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def split_of(folder, workers=0, seed=0):
    found = listing(folder)
    return FileSplit(folder, found.files, torch.tensor(found.labels), Dyed(), seed, workers)


def levels(images):
    """Grey levels of unmoved images."""
    return ((images * STD + MEAN) * 255).mean(dim=(1, 2, 3)).round().int().tolist()


# which files


def test_images_are_listed_by_class_and_name(folder):
    found = listing(folder)
    assert found.classes == ("ant", "bee")
    names = ("ant/b.png", "ant/c.PNG", "ant/deep/a.jpg", "ant/z.png", "bee/1.png", "bee/10.png", "bee/2.png")
    assert found.files == names
    assert found.labels == (0, 0, 0, 0, 1, 1, 1)


def test_a_class_without_images_is_refused(folder):
    (folder / "cow").mkdir()
    (folder / "cow" / "milk.txt").touch()
    with pytest.raises(
        DataError, match=r"/cow holds no image \(\.bmp, .*\); add some, or remove the folder$"
    ):
        listing(folder)


def test_no_class_folders(tmp_path):
    paint(tmp_path / "one.png", 3)
    with pytest.raises(DataError, match=r" holds 0 class folders; images belong in one folder per class$"):
        listing(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"^cannot read .*/none: No such file or directory$"):
        listing(tmp_path / "none")


def test_class_folders_must_be_the_same(tmp_path):
    for name in ("one/a/1.png", "one/b/1.png", "two/a/1.png", "two/c/1.png", "two/d/1.png"):
        paint(tmp_path / name, 3)
    one, two = listing(tmp_path / "one"), listing(tmp_path / "two")
    same_classes(one, one)
    with pytest.raises(
        DataError, match=r"must have the same class folders; 3 are in one of them only: b, c, d$"
    ):
        same_classes(one, two)


# how they are read


def test_images_are_normalised_and_follow_the_order(folder):
    split = split_of(folder)
    images, labels = split.batch(torch.tensor([6, 0, 3]), epoch=0, augment=False)
    assert (images.shape, images.dtype, labels.dtype) == ((3, 3, 5, 4), torch.float32, torch.int64)
    assert labels.tolist() == [1, 0, 0]
    torch.testing.assert_close(images[1], ((torch.zeros(3, 5, 4) - MEAN) / STD))
    assert levels(images) == [6, 0, 3]
    assert (len(split), split.labels.tolist()) == (7, [0, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_batch_whoever_reads(folder, workers):
    split = split_of(folder, workers)
    order = torch.tensor([5, 1, 6, 0, 3])
    whole = split.batch(order, epoch=3, augment=True)[0]
    read = list(split.batches(order, 2, epoch=3, augment=True))
    assert [labels.tolist() for _, labels in read] == [[1, 0], [1, 0], [0]]
    assert torch.equal(torch.cat([images for images, _ in read]), whole)
    assert not torch.equal(split.batch(order, epoch=4, augment=True)[0], whole)
    assert not torch.equal(split_of(folder, seed=1).batch(order, epoch=3, augment=True)[0], whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_leaves_the_global_random_numbers_alone(folder, workers):
    split = split_of(folder, workers)
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    list(split.batches(torch.arange(7), 4, epoch=0, augment=True))
    assert torch.equal(torch.rand(3), wanted)


def test_a_subset_has_its_own_indices(folder):
    part = split_of(folder).subset(torch.tensor([1, 4, 6]))
    images, labels = part.batch(torch.arange(3), epoch=0, augment=False)
    assert (levels(images), labels.tolist(), part.labels.tolist()) == ([1, 4, 6], [0, 1, 1], [0, 1, 1])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_kinds_of_picture_become_red_green_blue(mode, tmp_path):
    suffix = "jpg" if mode == "CMYK" else "png"
    for name in ("a", "b"):
        paint(tmp_path / name / f"1.{suffix}", 255, mode)
    images, _ = split_of(tmp_path).batch(torch.tensor([0]), epoch=0, augment=False)
    torch.testing.assert_close(images[0], (torch.ones(3, 5, 4) - MEAN) / STD, atol=0.05, rtol=0)


BROKEN = {
    "empty": lambda whole: b"",
    "text": lambda whole: b"this is no image",
    "half": lambda whole: whole[: len(whole) // 2],
    "head": lambda whole: whole[:20],
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_image_is_named_in_one_line(broken, workers, folder):
    path = folder / "ant" / "deep" / "a.jpg"
    path.write_bytes(BROKEN[broken](path.read_bytes()))
    with pytest.raises(DataError) as caught:
        list(split_of(folder, workers).batches(torch.arange(7), 4, epoch=0, augment=False))
    message = str(caught.value)
    assert message.startswith(f"cannot read the image {path}: ")
    assert message.endswith("; copy it again, or remove it")
    assert "\n" not in message
    assert "Traceback" not in message


def test_an_image_that_went_away(folder):
    split = split_of(folder)
    (folder / "bee" / "2.png").unlink()
    with pytest.raises(DataError, match=r"^cannot read the image .*2\.png: .*No such file or directory"):
        split.batch(torch.tensor([6]), epoch=0, augment=False)


def test_without_torchvision_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    monkeypatch.setitem(__import__("sys").modules, "torchvision.transforms", None)
    with pytest.raises(
        MissingExtra, match=r"^reading image files needs torchvision.*pip install 'abcost\[vision\]'$"
    ):
        load(folder)
