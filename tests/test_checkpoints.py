"""Checkpoints: every accepted form, and every refusal by its reason."""

from __future__ import annotations

import os
import pickle
import re
import struct

import pytest
import torch
from torch import nn

from abcost.errors import CheckpointError
from abcost.models import build, load_checkpoint
from abcost.nn import QuantizedPReLU, StandardizedConv2d

CIFAR = {"stem": "cifar", "num_classes": 10}


class Tiny(nn.Module):
    """A network with layers of the zoo, small enough to be written to disk a hundred times."""

    def __init__(self):
        super().__init__()
        self.conv1 = StandardizedConv2d(3, 4, 3)
        self.prelu1 = QuantizedPReLU(4)
        self.fc = nn.Linear(4, 10)


@pytest.fixture
def trained():
    """A network whose every tensor differs from that of `model`."""
    torch.manual_seed(1)
    network = Tiny()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network


@pytest.fixture
def model():
    torch.manual_seed(2)
    return Tiny()


def copied(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def refusal(model, path):
    """The message, after a check that it is one line, names the file, and left the model alone."""
    before = copied(model)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, path)
    message = str(caught.value)
    assert "\n" not in message
    assert repr(str(path)) in message
    assert same(copied(model), before)
    return message


def save(content, path, **options):
    torch.save(content, path, **options)
    return path


# accepted


def own_form(model):
    return {
        "schema": 1, "model": "birealnet_18", "variant": "ab", "step": 2, "epoch": 3,
        "state_dict": model.state_dict(), "optimizer": {}, "metrics": {"top1": 0.5}, "config": {},
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["h5", "pt", "pth.tar", "anything"])
@pytest.mark.parametrize(
    "content",
    [
        lambda m: m.state_dict(),
        lambda m: nn.DataParallel(m).state_dict(),
        own_form,
        lambda m: {"epoch": 256, "state_dict": nn.DataParallel(m).state_dict(), "best_top1_acc": 61.0},
        lambda m: {name: nn.Parameter(tensor) for name, tensor in m.state_dict().items()},
        lambda m: {name: tensor.double() for name, tensor in m.state_dict().items()},
    ],
    ids=["bare", "published", "own", "reactnet", "parameters", "double"],
)
def test_accepted_forms(content, suffix, trained, model, tmp_path):
    load_checkpoint(model, save(content(trained), tmp_path / f"checkpoint.{suffix}"))
    assert same(copied(model), copied(trained))


def test_format_before_pytorch_1_6_and_a_path_as_text(trained, model, tmp_path):
    path = save(trained.state_dict(), tmp_path / "old.h5", _use_new_zipfile_serialization=False)
    load_checkpoint(model, str(path))
    assert same(copied(model), copied(trained))


def test_a_model_in_data_parallel_takes_the_prefix(trained, tmp_path):
    path = save(nn.DataParallel(trained).state_dict(), tmp_path / "published.h5")
    wrapped = nn.DataParallel(Tiny())
    load_checkpoint(wrapped, path)
    assert same(copied(wrapped.module), copied(trained))


def test_batch_norm_statistics_are_loaded(tmp_path):
    source = build("reactnet_18", variant="bn", **CIFAR)
    source(torch.randn(4, 3, 32, 32))  # in training mode: moves the running statistics
    target = build("reactnet_18", variant="bn", **CIFAR)
    load_checkpoint(target, save(source.state_dict(), tmp_path / "bn.pt"))
    assert target.bn1.num_batches_tracked == 1
    assert same(copied(target), copied(source))


def test_step_1_starts_step_2(tmp_path):
    one = build("reactnet_18", step=1, **CIFAR)
    two = build("reactnet_18", step=2, **CIFAR)
    load_checkpoint(two, save(one.state_dict(), tmp_path / "step1.pt"))
    assert same(copied(two), copied(one))


# refused: the file


def test_missing_file(model, tmp_path):
    message = refusal(model, tmp_path / "none.pt")
    assert re.search(
        r"^cannot read checkpoint '.*none\.pt': No such file or directory; check the path$", message
    )


def test_directory(model, tmp_path):
    assert "Is a directory" in refusal(model, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(model, tmp_path):
    path = save({}, tmp_path / "secret.pt")
    path.chmod(0)
    assert "Permission denied" in refusal(model, path)


def test_path_of_two_lines(model, tmp_path):
    assert "No such file" in refusal(model, tmp_path / "two\nlines.pt")


FOREIGN = {
    "empty": b"",
    "text": b"epoch,loss\n1,2.3\n",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "pickle": pickle.dumps({"conv1.weight": [1.0]}, protocol=4),
    "zip": b"PK\x03\x04" + bytes(64),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_file(content, model, tmp_path):
    path = tmp_path / "foreign.h5"
    path.write_bytes(content)
    assert refusal(model, path).endswith(
        "is empty, damaged or not written by torch.save; copy or save it again"
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [40, 0.5, 0.9, -10])
def test_truncated_file(keep, zipped, trained, model, tmp_path):
    path = save(trained.state_dict(), tmp_path / "cut.pt", _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert "damaged" in refusal(model, path)


def test_flipped_bit_in_the_weights(trained, model, tmp_path):
    path = save(trained.state_dict(), tmp_path / "flipped.pt")
    content = bytearray(path.read_bytes())
    where = content.find(struct.pack("<4f", *trained.conv1.weight.flatten()[:4].tolist()))
    content[where + 2] ^= 1  # still a finite weight: only the checksum can tell
    path.write_bytes(content)
    assert re.search(
        r"is damaged: the checksum of '.*/data/0' is wrong; copy it again$", refusal(model, path)
    )


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_code_is_named_and_not_run(model, tmp_path):
    proof = tmp_path / "ran"
    path = save({"conv1.weight": Payload(f"touch {proof}")}, tmp_path / "code.pt")
    assert "holds a Python object ('posix.system'), which abcost does not run" in refusal(model, path)
    assert not proof.exists()


def test_whole_model(model, tmp_path):
    message = refusal(model, save(nn.Linear(2, 2), tmp_path / "model.pt"))
    assert "torch.nn.modules.linear.Linear" in message
    assert message.endswith("save the tensors alone, with torch.save(model.state_dict(), file)")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "holds a list where a state dict was expected"),
        (torch.ones(3), "holds a Tensor where a state dict was expected"),
        ({"state_dict": None}, "holds a NoneType where a state dict was expected"),
        ({"epoch": 3}, "is not a state dict: entry 'epoch' is a int, not a tensor"),
        ({"a\nb": "text"}, r"is not a state dict: entry 'a\nb' is a str, not a tensor"),
        ({3: torch.ones(1)}, "is not a state dict: entry 3 is a Tensor"),
        ({torch.ones(40, 40): 1}, "is not a state dict: entry tensor([[1., 1., 1."),
        ({"schema": 2, "state_dict": {}}, "has schema 2, this abcost reads schema 1; update abcost"),
        ({"schema": torch.ones(9, 9), "state_dict": {}}, "has schema tensor([[1., 1., 1., "),
    ],
)
def test_content_that_is_no_state_dict(content, reason, model, tmp_path):
    assert reason in refusal(model, save(content, tmp_path / "foreign.pt"))


# refused: the tensors


def test_checkpoint_of_another_network_is_recognised(tmp_path):
    model = build("birealnet_18", **CIFAR)
    other = build("reactnet_18", **CIFAR)
    message = refusal(model, save(nn.DataParallel(other).state_dict(), tmp_path / "other.h5"))
    # 16 blocks x (3 moves + L_alpha) come on top, the two PReLUs of Bi-Real are not there
    assert "does not fit the model: 2 missing (first: 'prelu1.weight' [64]), " in message
    assert "64 unexpected (first: 'layer1.0.move0.bias' [1, 64, 1, 1]); " in message
    assert message.endswith("; it fits reactnet_18 (variant ab, stem cifar, 10 classes)")


def test_all_networks_that_fit_are_named(model, tmp_path):
    other = build("xnornet_18", variant="bn", stem="cifar", num_classes=7)
    message = refusal(model, save(other.state_dict(), tmp_path / "other.pt"))
    assert message.endswith(
        "it fits bnn_18 (variant bn, stem cifar, 7 classes) or xnornet_18 (variant bn, stem cifar, 7 classes)"
    )


def test_other_number_of_classes(trained, model, tmp_path):
    trained.fc = nn.Linear(4, 100)
    message = refusal(model, save(trained.state_dict(), tmp_path / "cifar100.pt"))
    assert message.endswith(
        "does not fit the model: 2 of another shape (first: 'fc.weight' is [100, 4], wanted [10, 4]); "
        "build the model it was trained as"
    )


def changed(model, name, tensor):
    tensors = copied(model)
    tensors[name] = tensor
    return tensors


def test_missing_tensor(trained, model, tmp_path):
    tensors = copied(trained)
    del tensors["conv1.gain"]
    message = refusal(model, save(tensors, tmp_path / "less.pt"))
    assert "does not fit the model: 1 missing (first: 'conv1.gain' [4, 1, 1, 1]); build" in message


def test_prefix_on_some_names_only(trained, model, tmp_path):
    tensors = changed(trained, "module.fc.bias", torch.zeros(10))
    assert "1 unexpected (first: 'module.fc.bias' [10])" in refusal(
        model, save(tensors, tmp_path / "mixed.pt")
    )


def test_empty_state_dict(model, tmp_path):
    assert "5 missing (first: 'conv1.weight' [4, 3, 3, 3])" in refusal(model, save({}, tmp_path / "none.pt"))


@pytest.mark.parametrize("shape", [(), (0,), (2, 5)])
def test_strange_classifier(shape, trained, model, tmp_path):
    tensors = changed(trained, "fc.bias", torch.zeros(shape))
    message = refusal(model, save(tensors, tmp_path / "strange.pt"))
    assert f"1 of another shape (first: 'fc.bias' is {list(shape)}, wanted [10]); build the model" in message


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.zeros(10, dtype=torch.int64), "int64, strided, device cpu"),
        (torch.zeros(10, dtype=torch.complex64), "complex64, strided, device cpu"),
        (torch.zeros(10).to_sparse(), "float32, sparse_coo, device cpu"),
        (torch.zeros(10, device="meta"), "float32, strided, device meta"),
    ],
)
def test_tensors_of_another_kind(tensor, kind, trained, model, tmp_path):
    path = save(changed(trained, "fc.bias", tensor), tmp_path / "kind.pt")
    assert f"'fc.bias' is {kind}, wanted float32" in refusal(model, path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_values_that_are_not_finite_in_the_model(value, trained, model, tmp_path):
    bias = torch.zeros(10, dtype=torch.float64)
    bias[2:4] = value  # 1e300 is finite in the file's float64, not in the model's float32
    message = refusal(model, save(changed(trained, "fc.bias", bias), tmp_path / "diverged.pt"))
    assert "has 2 of 10 values of 'fc.bias' infinite or NaN" in message
