"""The published recipe, written down once more from its specification and from nothing else.

Imports torch only. Networks are functions of a dictionary of float64 tensors, under the names of the published
checkpoints; gradients that are not derivatives are made with `detach`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

ALPHA = 0.25


def parameters(widths, blocks, classes, stem_kernel, seed):
    """Random tensors of a ReActNet of these widths and blocks per stage; all of them matter to the output."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape, mean=0.0, spread=1.0):
        return mean + spread * torch.randn(*shape, generator=g, dtype=torch.float64)

    def conv(name, out_ch, in_ch, kernel):
        return {
            f"{name}.weight": normal(out_ch, in_ch, kernel, kernel),
            f"{name}.gain": normal(out_ch, 1, 1, 1, mean=1.0, spread=0.1),
        }

    found = conv("conv1", widths[0], 3, stem_kernel)
    in_ch = widths[0]
    for stage, (out_ch, count) in enumerate(zip(widths, blocks, strict=True), 1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            found[f"{name}.move0.bias"] = normal(1, in_ch, 1, 1, spread=0.3)
            found |= conv(f"{name}.conv1", out_ch, in_ch, 3)
            found[f"{name}.move1.bias"] = normal(1, out_ch, 1, 1, spread=0.3)
            found[f"{name}.prelu.L_alpha"] = normal(out_ch, mean=-3.0, spread=1.0)
            found[f"{name}.move2.bias"] = normal(1, out_ch, 1, 1, spread=0.3)
            if in_ch != out_ch:
                found |= conv(f"{name}.downsample.1", out_ch, in_ch, 1)
            in_ch = out_ch
    found["fc.weight"] = normal(classes, in_ch, spread=0.1)
    found["fc.bias"] = normal(classes, spread=0.1)
    return found


def weight(p, name, binary):
    w = p[f"{name}.weight"]
    fan_in = w[0].numel()
    mean = w.mean(dim=(1, 2, 3), keepdim=True)
    std = ((w - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    standard = fan_in**-0.5 * (w - mean) / (std + 1e-5)
    if binary:
        s = standard.abs().mean(dim=(1, 2, 3), keepdim=True).detach()
        through = torch.where(standard.abs() > 1, standard.detach(), standard)
        standard = s * standard.detach().sign() + (through - through.detach())
    return p[f"{name}.gain"] * standard


def sign(v):
    mask = 2 * torch.sigmoid(3 * v) - 1
    return v.detach().sign() + (mask - mask.detach())


def block(p, name, x, beta, stride, step):
    binary = step == 2
    a = sign(beta * (x + p[f"{name}.move0.bias"] / beta))
    out = ALPHA * F.conv2d(a, weight(p, f"{name}.conv1", binary), stride=stride, padding=1)
    if f"{name}.downsample.1.weight" in p:
        x = F.conv2d(F.avg_pool2d(x, 2, 2), weight(p, f"{name}.downsample.1", binary))
    out = out + x + p[f"{name}.move1.bias"]
    latent = p[f"{name}.prelu.L_alpha"]
    slope = 2 ** (latent.detach().round() + (latent - latent.detach()))
    out = torch.where(out >= 0, out, slope[:, None, None] * out)
    return out + p[f"{name}.move2.bias"]


def forward(p, x, blocks, step, imagenet):
    kernel = p["conv1.weight"].shape[-1]
    x = F.conv2d(x, weight(p, "conv1", binary=False), stride=2 if imagenet else 1, padding=kernel // 2)
    if imagenet:
        x = F.max_pool2d(x, 3, 2, 1)
    v = 1.0
    for stage, count in enumerate(blocks, 1):
        for number in range(count):
            beta = 1 / math.sqrt(v)
            first = number == 0
            if first and stage > 1:
                v = 1.0
            elif not first:
                v += ALPHA**2
            x = block(p, f"layer{stage}.{number}", x, beta, 2 if first and stage > 1 else 1, step)
    return x.mean(dim=(2, 3)) @ p["fc.weight"].T + p["fc.bias"]


def label_loss(logits, labels):
    return -sum(row.log_softmax(0)[label] for row, label in zip(logits, labels, strict=True)) / len(labels)


def distribution_loss(logits, teacher):
    return -(teacher.softmax(1) * logits.log_softmax(1)).sum() / len(logits)


def units(tensor):
    return [tensor] if tensor.dim() == 1 else list(tensor)


def clip(p, grads, factor):
    for name, grad in grads.items():
        if name.startswith("fc."):
            continue
        for unit, unit_grad in zip(units(p[name].detach()), units(grad), strict=True):
            limit = factor * max(unit.norm().item(), 1e-3)
            length = unit_grad.norm().item()
            if length > limit:
                unit_grad.mul_(limit / max(length, 1e-6))


class Adam:
    def __init__(self):
        self.count, self.m, self.v = 0, {}, {}

    def step(self, p, grads, lr, decay):
        self.count += 1
        for name, tensor in p.items():
            grad = grads[name] + (decay * tensor if tensor.dim() == 4 else 0)
            self.m[name] = 0.9 * self.m.get(name, 0) + 0.1 * grad
            self.v[name] = 0.999 * self.v.get(name, 0) + 0.001 * grad**2
            m = self.m[name] / (1 - 0.9**self.count)
            v = self.v[name] / (1 - 0.999**self.count)
            tensor.sub_(lr * m / (v.sqrt() + 1e-8))


def train(p, epochs, *, blocks, step, imagenet, factor, lr, decay, teacher=None):
    """Train `p` in place on lists of batches, one list per epoch; returns the loss of every step."""
    adam, losses = Adam(), []
    for epoch, batches in enumerate(epochs):
        for images, labels in batches:
            held = {name: tensor.clone().requires_grad_() for name, tensor in p.items()}
            logits = forward(held, images, blocks, step, imagenet)
            loss = (
                label_loss(logits, labels) if teacher is None else distribution_loss(logits, teacher(images))
            )
            loss.backward()
            grads = {name: tensor.grad for name, tensor in held.items()}
            clip(p, grads, factor)
            adam.step(p, grads, lr * (1 - epoch / len(epochs)), decay)
            losses.append(loss.item())
    return losses
