"""What the tests of training share: a small data set in memory, and who watches."""

from __future__ import annotations

import torch

from abcost.data import DataSet


class Images:
    """A split of given images; remembers in which order they were read."""

    def __init__(self, images, labels):
        self.images, self.labels, self.read = images, labels, []

    def __len__(self):
        return len(self.labels)

    def batch(self, indices, *, epoch, augment):
        return self.images[indices], self.labels[indices]

    def batches(self, order, batch_size, *, epoch, augment):
        self.read.append(order)
        for indices in order.split(batch_size):
            yield self.batch(indices, epoch=epoch, augment=augment)

    def subset(self, indices):
        return Images(self.images[indices], self.labels[indices])


def noise(count, *, side=8, classes=4, preset="digits", seed=0):
    """`count` training images of noise, and a few others; every class has a mean of its own."""
    g = torch.Generator().manual_seed(seed)

    def split(size):
        labels = torch.randint(classes, (size,), generator=g)
        means = torch.linspace(-1, 1, classes)[labels][:, None, None, None]
        return Images(means + torch.randn(size, 3, side, side, generator=g), labels)

    names = tuple(f"class {number}" for number in range(classes))
    return DataSet("noise", names, (3, side, side), preset, split(count), split(11), split(13))


class Losses:
    """Watches a training and keeps the loss of every batch."""

    def __init__(self):
        self.losses, self.rows = [], []

    def started(self, config, *, epoch, batches):
        self.began, self.batches = epoch, batches

    def batch(self, done, loss):
        self.losses.append(loss.item())

    def epoch(self, row):
        self.rows.append(row)

    def tested(self, found, folder):
        self.found = found
