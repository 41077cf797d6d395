"""CIFAR, ImageNet and image folders through torchvision, on small files in the real on-disk formats.

torchvision goes with one release of torch only, so these tests run in an environment of their own:
`make test-vision`.
"""

from __future__ import annotations

import hashlib
import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from abcost.data import load
from abcost.errors import DataError, UsageError

try:
    from torchvision import datasets
except Exception as error:  # noqa: BLE001 - absent, or built for another torch
    pytest.skip(f"no torchvision for this torch ({error}): make test-vision", allow_module_level=True)

MEAN = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def everything(split, *, epoch=0, augment=False):
    order = torch.arange(len(split))
    parts = list(split.batches(order, 64, epoch=epoch, augment=augment))
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def rank(key):
    """The documented order of what is held out."""
    return int.from_bytes(hashlib.sha256(f"split:{key}".encode()).digest()[:8], "big") >> 1


def held_by_hand(keys, labels, fraction):
    held = []
    for label in sorted(set(labels)):
        members = sorted((i for i, of in enumerate(labels) if of == label), key=lambda i: rank(keys[i]))
        held += members[: max(1, round(fraction * len(members)))]
    return sorted(held)


# CIFAR


def batch_file(path, labels, seed, key, **more):
    """One file as published: a dictionary pickled by protocol 2, pixels as rows of red, green and blue planes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    content = {
        "data": pixels,
        key: labels,
        "batch_label": path.name,
        "filenames": ["x.png"] * len(labels),
        **more,
    }
    path.write_bytes(pickle.dumps(content, protocol=2))
    return pixels


def with_checksums(monkeypatch, kind, folder):
    """Make torchvision expect the checksums of our files in place of the published ones."""

    def md5(name):
        return hashlib.md5((folder / name).read_bytes()).hexdigest()  # noqa: S324 - as torchvision does

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[name, md5(name)] for name, _ in getattr(kind, part)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(kind.meta["filename"])})


NAMES_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """CIFAR-10 with 5 x 40 training and 20 test images: the folder above it, training pixels and labels."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    labels = [[(7 * i + batch) % 10 for i in range(40)] for batch in range(5)]
    pixels = [batch_file(folder / f"data_batch_{b + 1}", labels[b], b, "labels") for b in range(5)]
    batch_file(folder / "test_batch", list(range(10)) * 2, 9, "labels")
    meta = {"label_names": NAMES_10, "num_cases_per_batch": 40, "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    with_checksums(monkeypatch, datasets.CIFAR10, folder)
    return tmp_path, np.concatenate(pixels), list(chain(*labels))


def normalised(rows):
    return (rows.reshape(-1, 3, 32, 32) / 255 - MEAN) / STD


def test_cifar10_images_labels_and_splits(cifar10):
    root, pixels, labels = cifar10
    data = load("cifar10", root)
    assert (data.name, data.preset, data.input_shape) == ("cifar10", "cifar10", (3, 32, 32))
    assert data.classes == tuple(NAMES_10)
    held = held_by_hand([str(i) for i in range(200)], labels, 0.1)  # as 5,000 of 50,000
    kept = sorted(set(range(200)) - set(held))
    assert len(held) == 20
    for indices, split in ((kept, data.train), (held, data.validation)):
        images, found = everything(split)
        assert found.tolist() == [labels[i] for i in indices]
        np.testing.assert_allclose(images.numpy(), normalised(pixels[indices]), atol=1e-5)
    images, found = everything(data.test)
    assert found.tolist() == list(range(10)) * 2
    rows = np.random.default_rng(9).integers(0, 256, (20, 3072), dtype=np.uint8)
    np.testing.assert_allclose(images.numpy(), normalised(rows), atol=1e-5)


def test_cifar10_is_moved_as_published(cifar10):
    root, pixels, _ = cifar10
    train = load("cifar10", root, select_on="test", seed=5).train
    moved, _ = everything(train, epoch=1, augment=True)
    seen = []
    for row, after in zip(pixels[:60], moved[:60].numpy(), strict=True):
        padded = np.pad(row.reshape(3, 32, 32) / 255, [(0, 0), (4, 4), (4, 4)], mode="reflect")
        fits = [
            (down, right, flip)
            for flip, picture in enumerate((padded, padded[:, :, ::-1]))
            for down in range(9)
            for right in range(9)
            if abs(after[0, 0, 0] * STD[0] + MEAN[0] - picture[0, down, right]).item() < 1e-5
            and np.allclose(after, (picture[:, down : down + 32, right : right + 32] - MEAN) / STD, atol=1e-5)
        ]
        assert len(fits) == 1
        seen += fits
    assert {down for down, _, _ in seen} == {right for _, right, _ in seen} == set(range(9))
    assert 15 < sum(flip for *_, flip in seen) < 45


def test_cifar10_published_selection(cifar10):
    root, _, labels = cifar10
    data = load("cifar10", root, select_on="test")
    assert data.selected_on_test
    assert data.validation is data.test
    assert data.train.labels.tolist() == labels


def test_cifar100_has_fine_labels(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    fine = list(range(100)) * 3
    pixels = batch_file(folder / "train", fine, 1, "fine_labels", coarse_labels=[0] * 300)
    batch_file(folder / "test", list(range(100)), 2, "fine_labels", coarse_labels=[0] * 100)
    names = [f"thing {number}" for number in range(100)]
    meta = {"fine_label_names": names, "coarse_label_names": ["all"]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    with_checksums(monkeypatch, datasets.CIFAR100, folder)
    data = load("cifar100", tmp_path)
    assert (data.preset, data.classes) == ("cifar100", tuple(names))
    assert sorted(data.validation.labels.tolist()) == list(range(100))  # one of three, as at least one is
    assert sorted(data.train.labels.tolist()) == sorted(list(range(100)) * 2)
    held = held_by_hand([str(i) for i in range(300)], fine, 0.1)
    np.testing.assert_allclose(everything(data.validation)[0].numpy(), normalised(pixels[held]), atol=1e-5)


def test_cifar10_without_files_says_which_and_where_from(tmp_path):
    with pytest.raises(DataError) as caught:
        load("cifar10", tmp_path / "none")
    folder = tmp_path / "none" / "cifar-10-batches-py"
    assert str(caught.value) == (
        f"cifar10 is not complete in {folder}: data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5, "
        "test_batch, batches.meta are missing; get cifar-10-python.tar.gz from "
        f"https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz and unpack it in {tmp_path / 'none'}, "
        "or name another folder with --data-root"
    )


def test_cifar10_with_one_file_missing(cifar10):
    root, *_ = cifar10
    (root / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(
        DataError, match=r"^cifar10 is not complete in .*: data_batch_4 is missing; get cifar-10-py"
    ):
        load("cifar10", root)


def test_cifar10_with_a_flipped_bit(cifar10):
    root, *_ = cifar10
    file = root / "cifar-10-batches-py" / "data_batch_2"
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        DataError, match=r"^cifar10 is damaged: data_batch_2 in .* has not the published MD5 checksum"
    ):
        load("cifar10", root)


def test_files_that_are_not_the_published_ones_are_never_unpickled(cifar10, monkeypatch):
    root, *_ = cifar10
    monkeypatch.undo()  # the published checksums again
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(
        DataError, match=r"damaged: data_batch_1, .*, batches\.meta in .* have not the published MD5"
    ):
        load("cifar10", root)


# image folders


def gradient(width=300, height=260):
    """Red rises from left to right, green from top to bottom."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, np.full_like(red, 128)], axis=-1).round().astype(np.uint8))


def save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def grey(level, size=(9, 7)):
    return Image.new("RGB", size, (level,) * 3)


def test_evaluation_resizes_and_crops_as_published(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            save(gradient(), tmp_path / name / f"{number}.png")
    image = load(tmp_path, workers=0).test.batch(torch.tensor([0]), epoch=0, augment=False)[0][0]
    # the shorter side, 260, becomes 256; the central 224 x 224 of 295 x 256 starts at (35.5, 16)
    resized = gradient().resize((256 * 300 // 260, 256), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), 16
    cropped = np.asarray(resized.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image.numpy(), (cropped - MEAN) / STD, atol=1e-5)


@pytest.fixture
def gradients(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            save(gradient(256, 256), tmp_path / name / f"{number}.png")
    return tmp_path


def in_many_epochs(folder, **options):
    """One training image as drawn in 300 epochs, 0 … 1 again."""
    split = load(folder, image_size=16, workers=0, **options).train
    drawn = [split.batch(torch.tensor([0]), epoch=epoch, augment=True)[0][0] for epoch in range(300)]
    return torch.stack(drawn).double().numpy() * STD + MEAN


def test_training_crops_a_random_part_and_flips(gradients):
    images = in_many_epochs(gradients)
    # first to last of 16 pixels is 15/16 of the crop; lighting moves both alike
    width = (images[:, 0, 8, 15] - images[:, 0, 8, 0]) * 16 / 15
    height = (images[:, 1, 15, 8] - images[:, 1, 0, 8]) * 16 / 15
    flipped = width < 0
    assert 0.4 < flipped.mean() < 0.6
    assert (height > 0).all()  # never upside down
    area, shape = abs(width) * height, abs(width) / height
    assert area.min() > 0.07
    assert area.max() < 1.03
    assert (area < 0.3).mean() > 0.1
    assert (area > 0.7).mean() > 0.1
    assert shape.min() > 0.72
    assert shape.max() < 1.4
    assert shape.max() / shape.min() > 1.5


def test_published_lighting_takes_a_grey_level_or_nothing(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            save(grey(128), tmp_path / name / f"{number}.png")
    levels = (255 * in_many_epochs(tmp_path, lighting="8-bit")).round(3)
    assert set(levels.flatten().tolist()) == {127.0, 128.0}
    assert (levels == levels[:, :, :1, :1]).all()  # of one epoch, all pixels alike
    assert 0.4 < (levels[:, 0, 0, 0] == 127).mean() < 0.6  # the noise of a colour is below 0 half of the time
    assert set((255 * in_many_epochs(tmp_path, lighting="none")).round(3).flatten().tolist()) == {128.0}


def test_lighting_of_floats_has_the_spread_of_alexnet(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            save(grey(128), tmp_path / name / f"{number}.png")
    images = in_many_epochs(tmp_path)
    offsets = images[:, :, 0, 0] - 128 / 255
    np.testing.assert_allclose(images, np.broadcast_to(images[:, :, :1, :1], images.shape), atol=1e-6)
    vectors = np.array(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )  # fb.resnet.torch
    along = offsets @ vectors  # they are orthonormal to 3 digits
    wanted = 0.1 * np.array([0.2175, 0.0188, 0.0045])
    np.testing.assert_allclose(along.std(axis=0), wanted, rtol=0.15)  # 300 draws: 4 % each
    assert (abs(along.mean(axis=0)) < 4 * wanted / np.sqrt(300)).all()


def test_flips_can_be_switched_off(gradients):
    images = in_many_epochs(gradients, flip=False)
    assert (images[:, 0, 8, 15] > images[:, 0, 8, 0]).all()


def test_training_images_depend_on_seed_epoch_and_index_only(gradients):
    def drawn(workers, order, epoch, seed=0):
        split = load(gradients, image_size=16, workers=workers, seed=seed).train
        parts = split.batches(torch.tensor(order), 2, epoch=epoch, augment=True)
        return torch.cat([images for images, _ in parts])

    here, there = drawn(0, [0, 1], 3), drawn(1, [1, 0], 3)
    assert torch.equal(here, there.flip(0))
    assert not torch.equal(here[0], here[1])
    assert not torch.equal(here, drawn(0, [0, 1], 4))
    assert not torch.equal(here, drawn(0, [0, 1], 3, seed=1))


def test_one_folder_is_split_by_the_names_of_its_files(tmp_path):
    keys = [f"{name}/{number}.png" for name in ("cat", "dog") for number in sorted(map(str, range(25)))]
    for level, key in enumerate(keys):
        save(grey(level), tmp_path / key)
    data = load(tmp_path, image_size=8, workers=0)
    assert (data.classes, data.preset, data.input_shape) == (("cat", "dog"), "cifar10", (3, 8, 8))
    assert data.name == tmp_path.name
    labels = [0] * 25 + [1] * 25
    test = held_by_hand(keys, labels, 0.2)
    rest = [i for i in range(50) if i not in test]
    validation = [rest[i] for i in held_by_hand([keys[i] for i in rest], [labels[i] for i in rest], 0.2)]
    train = [i for i in rest if i not in validation]
    assert (len(train), len(validation), len(test)) == (32, 8, 10)
    for indices, split in ((train, data.train), (validation, data.validation), (test, data.test)):
        images, found = everything(split)
        levels = ((images.numpy() * STD + MEAN) * 255).mean(axis=(1, 2, 3)).round().astype(int)
        assert levels.tolist() == indices
        assert found.tolist() == [labels[i] for i in indices]


@pytest.mark.parametrize(
    ("parts", "counts"),
    [
        (["train", "test"], (18, 2, 4)),  # a tenth of ten in each class for validation
        (["train", "val"], (18, 2, 4)),
        (["train", "val", "test"], (20, 4, 4)),
    ],
)
def test_folders_for_training_validation_and_testing(parts, counts, tmp_path):
    for part in parts:
        for label, name in enumerate(("cat", "dog")):
            for number in range(10 if part == "train" else 2):
                save(grey(100 * parts.index(part) + 50 * label), tmp_path / part / name / f"{number}.png")
    data = load(tmp_path, image_size=64, workers=0)
    assert (len(data.train), len(data.validation), len(data.test)) == counts
    assert data.preset == "imagenet"
    images, _ = everything(data.test)
    levels = ((images.numpy() * STD + MEAN) * 255).mean(axis=(1, 2, 3)).round().astype(int).tolist()
    assert levels == [100 * (len(parts) - 1) + 50 * label for label in (0, 0, 1, 1)]
    on_test = load(tmp_path, image_size=64, workers=0, select_on="test")
    assert (len(on_test.train), on_test.validation is on_test.test) == (20, True)


def test_a_training_folder_alone_is_refused(tmp_path):
    for name in ("cat", "dog"):
        save(grey(1), tmp_path / "train" / name / "1.png")
    with pytest.raises(
        DataError, match=r" has train, but neither test nor val beside it; add images for testing$"
    ):
        load(tmp_path)


def test_a_shift_is_not_for_files(gradients):
    with pytest.raises(
        UsageError, match=r"^a shift is for data sets in memory; image files are cropped at random"
    ):
        load(gradients, shift=2)


# ImageNet


WNIDS = [f"n{1_440_764 + 17 * number:08d}" for number in range(1000)]


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """1,000 classes, three training images and one more each, of one grey level per class."""
    root = tmp_path_factory.mktemp("imagenet")
    for label, wnid in enumerate(WNIDS):
        for number in range(3):
            save(grey(label % 250), root / "train" / wnid / f"{wnid}_{number}.JPEG")
        save(grey(label % 250), root / "val" / wnid / f"ILSVRC2012_val_{label:08d}.JPEG")
    return root


def test_imagenet_splits_labels_and_size(imagenet):
    data = load("imagenet", imagenet, workers=0)
    assert (data.name, data.preset, data.input_shape) == ("imagenet", "imagenet", (3, 224, 224))
    assert data.classes == tuple(WNIDS)
    assert data.test.labels.tolist() == list(range(1000))
    assert data.validation.labels.tolist() == list(range(1000))
    assert data.train.labels.tolist() == [label for label in range(1000) for _ in range(2)]
    images, labels = data.test.batch(torch.tensor([0, 249, 250, 999]), epoch=0, augment=False)
    levels = ((images.numpy() * STD + MEAN) * 255).mean(axis=(1, 2, 3)).round().astype(int)
    assert levels.tolist() == [0, 249, 0, 249]
    assert labels.tolist() == [0, 249, 250, 999]
    assert images.shape == (4, 3, 224, 224)


def test_imagenet_published_selection(imagenet):
    data = load("imagenet", imagenet, select_on="test")
    assert (len(data.train), len(data.test), data.validation is data.test) == (3000, 1000, True)


def linked(imagenet, folder, parts=("train", "val")):
    """The same folders again, by links."""
    for part in parts:
        (folder / part).mkdir(parents=True)
        for wnid in WNIDS:
            (folder / part / wnid).symlink_to(imagenet / part / wnid)
    return folder


def test_imagenet_that_is_not_there(tmp_path):
    with pytest.raises(
        DataError, match=r"^imagenet is not complete: there is no .*/train; get ILSVRC 2012 from http"
    ):
        load("imagenet", tmp_path)


def test_imagenet_without_its_validation_images(imagenet, tmp_path):
    with pytest.raises(DataError, match=r"^imagenet is not complete: there is no .*/val; get ILSVRC 2012 "):
        load("imagenet", linked(imagenet, tmp_path, ["train"]))


def test_imagenet_with_a_class_missing(imagenet, tmp_path):
    (linked(imagenet, tmp_path) / "val" / WNIDS[3]).unlink()
    with pytest.raises(DataError, match=r"/val of imagenet holds 999 classes, not 1,000; .* --data FOLDER$"):
        load("imagenet", tmp_path)


def test_imagenet_with_another_folder_in_it(imagenet, tmp_path):
    folder = linked(imagenet, tmp_path) / "train"
    (folder / "backup").symlink_to(imagenet / "val" / WNIDS[0])
    with pytest.raises(
        DataError, match=r"/train of imagenet holds the folder backup, which is no class \(n and 8 "
    ):
        load("imagenet", tmp_path)


def test_imagenet_with_other_classes_for_testing(imagenet, tmp_path):
    folder = linked(imagenet, tmp_path) / "val"
    (folder / WNIDS[3]).rename(folder / "n99999999")
    with pytest.raises(DataError, match=rf"2 are in one of them only: {WNIDS[3]}, n99999999$"):
        load("imagenet", tmp_path)


def test_imagenet_with_unsorted_validation_images(tmp_path):
    save(grey(0), tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds 0 class folders"):
        load("imagenet", tmp_path)
