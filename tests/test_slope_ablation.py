"""`benchmarks/slope_ablation.py`: its statistics, its trainings, and that text and table in `reports/` agree."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

pytest.importorskip("scipy")
import slope_ablation as ablation  # noqa: E402
from abcost.errors import UsageError  # noqa: E402
from slope_ablation import Group, Run  # noqa: E402

# 95 % quantile of the studentized range, 3 groups, 6 degrees of freedom, as printed in tables
Q_3_6 = 4.339
FOUR = tuple(ablation.SETTINGS)


def three(*means):
    """Three groups of three values m - 1, m, m + 1: the variance of each is 1."""
    return [Group(name, (m - 1.0, m, m + 1.0)) for name, m in zip("abc", means, strict=True)]


def table_of(step2, data="digits"):
    """Runs of all settings; `step2` maps a setting to its accuracies by seed, in percent."""
    return [
        Run(data, name, seed, 2, 400, 0.5, value / 100)
        for name, values in step2.items()
        for seed, value in enumerate(values)
    ]


def test_mean_and_standard_error():
    group = Group("a", (97.0, 98.0, 99.0))
    assert (group.mean, group.standard_error) == (98.0, pytest.approx(1 / math.sqrt(3)))


def test_significant_difference_is_that_of_tukeys_table():
    assert ablation.spread(three(90, 91, 92)) == pytest.approx(1)
    assert ablation.significant_difference(three(90, 91, 92)) == pytest.approx(Q_3_6 / math.sqrt(3), rel=1e-3)


def test_differences_within_the_noise_are_said_to_be_so():  # the limit is 4.339 / sqrt(3) = 2.505
    said = ablation.verdict(three(90, 91.2, 92.5))
    assert "**No difference exceeds the noise**" in said
    assert "the largest difference is 2.50 points (c over a)" in said
    assert "from 2.51 points on (95%, pooled standard deviation 1.00 points)" in said


def test_differences_beyond_the_noise_are_named():
    said = ablation.verdict(three(90, 91.2, 92.6))
    assert "No difference" not in said
    assert said.endswith("**1 of 3 differences exceed the noise:** c over a by 2.60.")


def test_standard_error_of_a_test_split():  # sqrt(0.9 * 0.1 / 400) = 0.015
    assert ablation.sampling(three(89, 90, 91), 400) == pytest.approx(1.5)


def test_text_says_what_the_table_holds():
    runs = table_of(dict.fromkeys(FOUR, (90.0, 91.0, 92.0)))
    text = ablation.markdown(runs)
    assert "## digits: 2 epochs per step, 400 test images" in text
    for name in FOUR:
        assert f"| {name} | 50.00 ± 0.00 | 91.00 ± 0.58 | 90.00, 91.00, 92.00 |" in text
    assert "| fixed 2^-3 | 65.00 / 60.25 | 91.67 / 92.30 | 69.22 / 69.31 |" in text  # as printed
    assert ablation.read(ablation.table(runs)) == runs


@pytest.mark.parametrize(("setting", "exponents"), [("fixed 2^-3", {"-3"}), ("fixed 2^-7", {"-7"})])
def test_fixed_slopes_are_fixed_in_both_steps(setting, exponents):
    for config in ablation.steps("digits", setting, 1, None):
        assert (config.fixed_slope, config.variant, config.seed) == (int(*exponents), "ab", 1)


def test_other_settings_differ_in_the_slopes_alone():
    quantized, real = (ablation.steps("mnist5k", name, 2, None)[1].to_dict() for name in FOUR[2:])
    assert {k for k in real if real[k] != quantized[k]} == {"variant"}
    assert (quantized["fixed_slope"], quantized["variant"], real["variant"]) == (None, "ab", "bn-free")


def test_a_finished_training_is_read_and_another_recipe_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "NETWORK", {"base_width": 2, "blocks": (1,)})
    first = ablation.run(tmp_path, "digits", "fixed 2^-7", 0, 1)
    assert (first.test_images, first.epochs) == (359, 1)
    monkeypatch.setattr("abcost.training.run.train_step", None)  # nothing may be trained again
    assert ablation.run(tmp_path, "digits", "fixed 2^-7", 0, 1) == first
    with pytest.raises(UsageError, match="holds a training with another recipe"):
        ablation.run(tmp_path, "digits", "fixed 2^-7", 0, 2)


def test_the_report_is_that_of_its_table():
    runs = ablation.read((ROOT / "reports/slope_ablation.csv").read_text(encoding="utf-8"))
    assert {(r.data, r.slopes, r.seed) for r in runs} == {
        (data, name, seed) for data in ("digits", "mnist5k") for name in FOUR for seed in (0, 1, 2)
    }
    assert (ROOT / "reports/slope_ablation.md").read_text(encoding="utf-8") == ablation.markdown(runs)
