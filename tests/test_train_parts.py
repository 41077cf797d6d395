"""The parts of a training: values of the recipe, schedule, groups, losses, restricted slopes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from abcost.data.registry import DATA
from abcost.errors import UnknownName, UsageError
from abcost.models import build
from abcost.nn import QuantizedPReLU
from abcost.training.config import Config
from abcost.training.groups import classifier_parameters, clipped_parameters, parameter_groups
from abcost.training.losses import distribution_loss, label_loss, mixed_loss
from abcost.training.recipes import configs
from abcost.training.schedule import learning_rate
from abcost.training.slopes import latent_slopes, load_state, plain_state, restrict_slopes


def config(**values):
    return Config(**{"model": "reactnet_18", **values})


def cifar(name="reactnet_18", **options):
    with torch.device("meta"):
        return build(name, stem="cifar", num_classes=10, **options)


# values of the recipe


@pytest.mark.parametrize(
    ("data", "clip", "distillation", "teacher"),
    [
        ("cifar10", 0.001, 0.0, None),
        ("cifar100", 0.001, 0.0, None),
        ("imagenet", 0.02, 1.0, "resnet34"),
    ],
)
def test_published_values(data, clip, distillation, teacher):
    one, two = configs("reactnet_18", (1, 2), given={"data": data})
    for found in (one, two):
        assert (found.epochs, found.batch_size, found.lr, found.seed) == (256, 256, 1e-3, 2023)
        assert (found.clip, found.distillation, found.teacher) == (clip, distillation, teacher)
        assert (found.precision, found.compile, found.slope_lr) == ("32", False, None)
    assert (one.step, one.weight_decay) == (1, 5e-6)
    assert (two.step, two.weight_decay) == (2, 0.0)


def test_a_data_set_without_a_recipe_of_its_own_has_the_short_one(monkeypatch):
    monkeypatch.setitem(DATA._items, "squares", lambda root, options: None)
    wanted, found = (
        configs("reactnet_18", (2,), given={"data": name})[0].to_dict() for name in ("digits", "squares")
    )
    assert found == {**wanted, "data": "squares"}
    (folder,) = configs("reactnet_18", (2,), given={"data": "squares2"})  # taken for a folder of images
    assert (folder.lighting, folder.epochs) == ("8-bit", 256)


def test_a_file_wins_over_the_recipe_and_a_flag_over_the_file(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('data = "cifar10"\nlr = 1\nclip = 0.5\nblocks = [1, 2]\n[step2]\nlr = 0.25\nepochs = 7\n')
    one, two = configs("reactnet_18", (1, 2), file=file, given={"clip": 0.125})
    assert (one.lr, one.clip, one.epochs, one.blocks) == (1, 0.125, 256, (1, 2))
    assert (two.lr, two.clip, two.epochs, two.blocks) == (0.25, 0.125, 7, (1, 2))
    assert one.weight_decay == 5e-6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("learn_rate = 1", "no recipe value 'learn_rate'"),
        ("lrr = 1", "did you mean 'lr'?"),
        ("step = 2", "no recipe value 'step'"),
        ("[step2]\nlrr = 1", "no recipe value 'lrr'"),
        ("step1 = 3", "step1 must be a table, [step1]"),
        ("lr = ", "is not TOML"),
        ('lr = "fast"', "--lr must be a number, got 'fast'"),
        ("lr = true", "--lr must be a number, got True"),
        ("lr = 0.0", "--lr must be above 0, got 0"),
        ("lr = nan", "--lr must be above 0, got nan"),
        ("weight_decay = -1", "--weight-decay must be at least 0, got -1"),
        ("distillation = 1.5", "--distillation must be at least 0 and at most 1, got 1.5"),
        ("distillation = 0.5", "--distillation 0.5 needs a --teacher"),
        ("epochs = 1.5", "--epochs must be a whole number, got 1.5"),
        ("epochs = 0", "--epochs must be at least 1, got 0"),
        ("fixed_slope = 128", "--fixed-slope must be between -126 and 127, got 128"),
        ("augment = 1", "--augment must be true or false, got 1"),
        ("teacher = 1", "--teacher must be text, got 1"),
        ("data = 1", "--data must be text, got 1"),
        ("blocks = []", "blocks must be a tuple of whole numbers >= 1, one per stage, got ()"),
        ("blocks = [0]", "blocks must be a tuple of whole numbers >= 1, one per stage, got (0,)"),
        ("precision = '16'", "no --precision '16'"),
        ("select_on = 'train'", "no --select-on 'train'"),
    ],
)
def test_refused_files(text, reason, tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises((UsageError, UnknownName)) as caught:
        configs("reactnet_18", (2,), file=file)
    assert reason in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read --config .*none\.toml: No such file"):
        configs("reactnet_18", (2,), file=tmp_path / "none.toml")


def test_a_config_survives_json():
    before = config(slopes={"layer1.0.prelu": (-3, 0)}, blocks=(2, 2), lr=0.1)
    assert Config.from_dict(json.loads(json.dumps(before.to_dict()))) == before


# schedule


def test_learning_rate_falls_linearly_per_epoch():
    assert learning_rate(1e-3, 0, 256) == 1e-3
    assert learning_rate(1e-3, 64, 256) == 1e-3 * (1 - 0.25)
    assert learning_rate(1e-3, 255, 256) == pytest.approx(1e-3 / 256)


# groups


def test_decayed_tensors_of_reactnet_18():
    # 20 convolutions (stem, 16 blocks, 3 shortcuts) of weight and gain, 16 blocks x 3 shifts; 16 x L_alpha, fc
    decayed, plain, slopes = parameter_groups(cifar(), config(step=1, weight_decay=5e-6))
    assert len(decayed["params"]) == 20 * 2 + 16 * 3 == 88
    assert len(plain["params"]) == 2
    assert len(slopes["params"]) == 16
    assert [group["weight_decay"] for group in (decayed, plain, slopes)] == [5e-6, 0.0, 0.0]
    assert {p.dim() for p in decayed["params"]} == {4}


def test_slopes_learn_at_their_own_rate():
    rates = [group["lr"] for group in parameter_groups(cifar(), config(lr=0.01, slope_lr=0.05))]
    assert rates == [0.01, 0.01, 0.05]
    rates = [group["lr"] for group in parameter_groups(cifar(), config(lr=0.01))]
    assert rates == [0.01, 0.01, 0.01]


def test_real_slopes_are_no_exponents():
    groups = parameter_groups(cifar(variant="bn-free"), config(lr=0.01, slope_lr=0.05))
    assert [len(group["params"]) for group in groups] == [88, 16 + 2]
    assert [group["lr"] for group in groups] == [0.01, 0.01]


def test_everything_but_the_classifier_is_clipped():
    model = cifar()
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in classifier_parameters(model)] == ["fc.weight", "fc.bias"]
    clipped = {names[id(p)] for p in clipped_parameters(model)}
    assert clipped == set(names.values()) - {"fc.weight", "fc.bias"}


# losses


def test_losses_by_hand():
    # logits (0, ln 3) are probabilities (1/4, 3/4); teacher (ln 4, 0) is (4/5, 1/5)
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    teacher = torch.tensor([[math.log(4), 0.0]], dtype=torch.float64)
    label = torch.tensor([1])
    labelled = -math.log(3 / 4)
    distributed = -(4 / 5 * math.log(1 / 4) + 1 / 5 * math.log(3 / 4))
    assert label_loss(logits, label).item() == pytest.approx(labelled, rel=1e-14)
    assert distribution_loss(logits, teacher).item() == pytest.approx(distributed, rel=1e-14)
    mixed = mixed_loss(logits, label, teacher, 0.25).item()
    assert mixed == pytest.approx(distributed / 4 + labelled * 3 / 4, rel=1e-14)
    assert mixed_loss(logits, label, teacher, 1.0).item() == pytest.approx(distributed, rel=1e-14)
    assert mixed_loss(logits, label, None, 0.0).item() == pytest.approx(labelled, rel=1e-14)


def test_losses_are_means_and_leave_the_teacher_alone():
    torch.manual_seed(0)
    logits, teacher = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    teacher.requires_grad_()
    logits.requires_grad_()
    loss = distribution_loss(logits, teacher)
    single = [distribution_loss(logits[i : i + 1], teacher[i : i + 1]).item() for i in range(6)]
    assert loss.item() == pytest.approx(sum(single) / 6, rel=1e-14)
    loss.backward()
    assert teacher.grad is None
    # d loss / d logits = (softmax(logits) - softmax(teacher)) / N
    expected = (logits.softmax(1) - teacher.softmax(1)) / 6
    torch.testing.assert_close(logits.grad, expected.detach(), rtol=1e-12, atol=1e-15)


# slopes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = QuantizedPReLU(4)
        self.second = QuantizedPReLU(4)

    def forward(self, x):
        return self.second(self.first(x))


def test_slopes_are_projected_with_the_gradient_of_the_projected_exponent():
    net = Net()
    restrict_slopes(net, config(slopes={"first": (-4, -1, 0)}))
    latent = net.first.parametrizations.L_alpha.original
    with torch.no_grad():
        latent.copy_(torch.tensor([-9.0, -2.6, -2.4, 5.0]))
    x = -torch.ones(1, 4)
    y = net.first(x)
    assert y.tolist() == [[-(2**-4), -(2**-4), -(2**-1), -(2**0)]]
    y.sum().backward()
    # y = -2**e and de/dlatent := 1, so dy/dlatent = -ln 2 * 2**e
    slopes = torch.tensor([2.0**-4, 2.0**-4, 0.5, 1.0])
    torch.testing.assert_close(latent.grad, -math.log(2) * slopes)


def test_latent_exponents_start_on_an_allowed_one():
    net = Net()
    restrict_slopes(net, config(slopes={"first": (-1, 0), "second": (-5, -2)}))
    assert net.first.parametrizations.L_alpha.original.tolist() == [-1.0] * 4
    assert net.second.parametrizations.L_alpha.original.tolist() == [-2.0] * 4  # nearest to -3


def test_what_is_saved_needs_no_restriction_and_what_is_latent_comes_back():
    net = Net()
    restrict_slopes(net, config(slopes={"first": (-4, -1, 0)}))
    with torch.no_grad():
        net.first.parametrizations.L_alpha.original.copy_(torch.tensor([-9.0, -2.6, -2.4, 5.0]))
        net.second.L_alpha.copy_(torch.tensor([-2.2, 1.0, 0.0, 0.4]))
    state, latent = plain_state(net), latent_slopes(net)
    assert list(state) == list(Net().state_dict())
    assert state["first.L_alpha"].tolist() == [-4, -4, -1, 0]
    assert state["second.L_alpha"].tolist() == pytest.approx([-2.2, 1.0, 0.0, 0.4])  # free: as trained
    plain = Net()
    plain.load_state_dict(state)
    x = torch.randn(5, 4)
    assert torch.equal(plain(x), net(x))

    again = Net()
    restrict_slopes(again, config(slopes={"first": (-4, -1, 0)}))
    load_state(again, state, latent)
    assert again.first.parametrizations.L_alpha.original.tolist() == pytest.approx([-9.0, -2.6, -2.4, 5.0])
    assert torch.equal(again(x), net(x))


def test_a_fixed_slope_is_not_trained():
    net = Net()
    restrict_slopes(net, config(fixed_slope=-7))
    assert net.first.L_alpha.tolist() == [-7.0] * 4
    assert not any(p.requires_grad for p in net.parameters())
    assert net(torch.full((1, 4), -1.0)).tolist() == [[-(2.0**-14)] * 4]  # 2**-7 twice


def test_slopes_of_a_layer_that_is_not_there():
    with pytest.raises(UsageError, match="--slopes: no PReLU 'frist'; did you mean 'first'"):
        restrict_slopes(Net(), config(slopes={"frist": (-3,)}))


@pytest.mark.parametrize("values", [{"slopes": {"first": (-3,)}}, {"fixed_slope": -3}])
def test_networks_with_real_slopes_cannot_be_restricted(values):
    with pytest.raises(UsageError, match="this network has no power-of-two slopes"):
        restrict_slopes(nn.PReLU(4), config(**values))


def slope_file(tmp_path, content):
    file = tmp_path / "slopes.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_slope_file(tmp_path):
    file = slope_file(tmp_path, {"schema": 1, "model": "reactnet_18", "layers": {"layer1.0.prelu": [0, -3]}})
    (found,) = configs("reactnet_18", (2,), given={"slopes": file})
    assert found.slopes == {"layer1.0.prelu": (-3, 0)}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ([], "is not of the form"),
        ({"schema": 1, "model": "reactnet_18"}, "is not of the form"),
        ({"schema": 2, "model": "reactnet_18", "layers": {}}, "has schema 2, this abcost reads schema 1"),
        ({"schema": 1, "model": "reactnet_a", "layers": {}}, "is for 'reactnet_a', not for 'reactnet_18'"),
        ({"layers": {"a": []}}, "'a' needs a list of one or more exponents, got []"),
        ({"layers": {"a": 3}}, "'a' needs a list of one or more exponents, got 3"),
        ({"layers": {"a": [1.5]}}, "'a': 1.5 is not a whole number between -126 and 127"),
        ({"layers": {"a": [True]}}, "'a': True is not a whole number"),
        ({"layers": {"a": [128]}}, "'a': 128 is not a whole number"),
        ({"layers": {"a": [1, 1]}}, "'a' names an exponent twice: [1, 1]"),
    ],
)
def test_refused_slope_files(content, reason, tmp_path):
    if isinstance(content, dict):
        content = {"schema": 1, "model": "reactnet_18", **content}
    with pytest.raises(UsageError) as caught:
        configs("reactnet_18", (2,), given={"slopes": slope_file(tmp_path, content)})
    assert reason in str(caught.value)


def test_missing_slope_file(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read --slopes .*none\.json: No such file"):
        configs("reactnet_18", (2,), given={"slopes": tmp_path / "none.json"})


def test_slopes_and_a_fixed_slope_exclude_each_other():
    with pytest.raises(UsageError, match="--slopes and --fixed-slope exclude each other"):
        config(slopes={"a": (-3,)}, fixed_slope=-3)
