from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.probe.pattern_guess import not_understood, propose_patterns, reported
from orchestrator.engine.script.printed import read_line


@pytest.mark.parametrize(
    ("lines", "names", "reports"),
    [
        (
            ["Epoch 1/2 - loss: 0.5 - val_loss: 0.6", "Epoch 2/2 - loss: 0.4 - val_loss: 0.5"],
            ("loss", "val_loss"),
            2,
        ),
        (["Epoch 2/50 | Train: 0.19 | Val: 0.21 | LR: 1e-4"], ("train_loss", "val_loss"), 1),
        (
            ["[12/200] train loss: nan | Validation accuracy 91.2%"],
            ("train_loss", "val_accuracy"),
            1,
        ),
        (["{'loss': 0.5, 'grad_norm': 1.2, 'epoch': 0.5}"], ("loss",), 1),
        (["Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300"], ("train_loss",), 1),
        (
            ["Test set: Average loss: 0.0289, Accuracy: 9912/10000 (99%)"],
            ("test_loss", "test_accuracy"),
            1,
        ),
        (["Accuracy of the network on the 10000 test images: 54 %"], ("test_accuracy",), 1),
        (["Top-1: 71.2 Top-5: 90"], ("top1", "top5"), 1),
        (["Dice 0.81 HD95 9 EER 5.00%"], ("dice", "hd95", "eer"), 1),
        (["AE-at-50th-percentile: 5.123"], ("ae_at_50th_percentile",), 1),
        (["[0]\ttrain-rmse:0.5", "[1]\ttrain-rmse:0.4"], ("train_rmse",), 2),
        (["epoch train_loss lr", "  1  0.5 0.1", "  2 0.4 0.1"], ("train_loss",), 2),
        (["epoch  valid_loss  time", "0  0.5  00:01", "1  0.4  00:02"], ("val_loss",), 2),
        (
            ["Ep 1 :: tr_loss 0.5 :: va_mae 0.4", "Ep 2 :: tr_loss 0.3 :: va_mae 0.3"],
            ("train_loss", "val_mae"),
            2,
        ),
        ([" Val. Loss: 1.188 |  Val. PPL: 3.28"], ("val_loss", "val_ppl"), 1),
        (['{"epoch":1,"valLoss":0.5}', '{"epoch":2,"valLoss":0.4}'], ("val_loss",), 2),
        (["|  0 | loss 0.9 |", "|  1 | loss 0.8 |"], ("loss",), 2),
        (
            [
                "I1201 00:00:42.09 1407 t.py:13] [50] loss=0.9",
                "I1201 00:00:42.10 1407 t.py:13] [100] loss=0.8",
            ],
            ("loss",),
            2,
        ),
        (
            ["┃ model ┃ train R2 ┃ test R2 ┃", "│ ridge │ 0.6321   │ 0.5689  │"],
            ("train_r2", "test_r2"),
            1,
        ),
        (["Epoch,trn_loss,val_wer", "1,0.5,30.1%", "2,0.4,20.5%"], ("train_loss", "val_wer"), 2),
        (["Epoch  ValLoss  ValAcc", "1  0.5  30.1%", "2 0.4 35%"], ("val_loss", "val_acc"), 2),
        (["   * Acc@1 54.758 Acc@5 81.903"], ("acc_1", "acc_5"), 1),
        (["5-fold CV accuracy: 0.816 +/- 0.012"], ("fold_cv_accuracy",), 1),
        (["Episode 10\tAverage Score: 3.5", "Episode 20\tAverage Score: 7.0"], ("score",), 2),
    ],
)
def test_lines_as_people_print_them(lines: list[str], names: tuple[str, ...], reports: int) -> None:
    (found,) = propose_patterns(["reading data, batch_size: 3", *lines])
    assert (found.names, found.reports) == (names, reports)


def test_lines_of_several_kinds_have_a_pattern_each() -> None:
    found = propose_patterns(["step 5: mse 0.1", "step 6: mse 0.1", "test mae = 3", "time 5.0 s"])
    assert [item.names for item in found] == [("mse",), ("test_mae",)]


def test_no_line_feeds_two_metrics() -> None:
    lines = []
    for epoch in (1, 2, 3):
        for batch in (200, 400):
            lines.append(f"| epoch {epoch:3d} | {batch:5d}/  400 batches | loss {6 / epoch:5.2f} |")
        lines.append(f"| end of epoch {epoch:3d} | time:  1.0s | valid loss {5 / epoch:5.2f} |")
    found = propose_patterns(lines)
    seen = reported([item.pattern for item in found], lines)
    assert seen.values == {"loss": [6.0, 3.0, 2.0], "val_loss": [5.0, 2.5, 1.67]}
    assert seen.steps == {1, 2, 3}


def test_a_batch_counter_is_no_epoch() -> None:
    lines = []
    for epoch in (1, 2):
        lines += [f"Epoch {epoch}/2", f"32/32 - 1s - loss: {1 / epoch} - val_loss: {2 / epoch}"]
    found = propose_patterns(lines)
    assert found[0].names == ()  # the step alone
    seen = reported([item.pattern for item in found], lines)
    assert (seen.steps, seen.values["val_loss"]) == ({1, 2}, [2.0, 1.0])


@pytest.mark.parametrize(
    ("lines", "values", "steps"),
    [
        # a decimal comma, also if three digits follow it
        (["Epoch 1: val_loss: 1,250, acc: 0,500"], {"val_loss": [1.25], "acc": [0.5]}, {1}),
        (["Epoch：1，val loss：0.5"], {"val_loss": [0.5]}, {1}),
        (["[9]\tvalid_0's l2: 0.2\tvalid_0's auc: 0.9"], {"val_l2": [0.2], "val_auc": [0.9]}, {9}),
        (
            ["5:\tlearn: 0.7\ttest: 0.6\tbest: 0.5 (0)\ttotal: 1ms"],
            {"train_loss": [0.7], "val_loss": [0.6], "best": [0.5]},
            {5},
        ),
        (["Iter 1,000: val_loss=0.5", "Iter 2,000: val_loss=0.4"], {"val_loss": [0.5, 0.4]},
         {1000, 2000}),
        (["Epoche 2/3: Validierungsverlust = 1.5"], {"val_loss": [1.5]}, {2}),
        (["Époque 2 : perte de validation 0.7"], {"val_loss": [0.7]}, {2}),
        (["第3轮 损失：0.5 验证准确率：0.7"], {"loss": [0.5], "val_accuracy": [0.7]}, {3}),
        (
            [
                " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.51",
                " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.71",
                " Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 0.11",
            ],
            {"map": [0.51], "map_50": [0.71]},
            {1},
        ),
        # words where other lines have the value
        (["epoch 1: val_loss did not improve from 0.1", "epoch 1: val_loss 0.5"],
         {"val_loss": [0.5]}, {1}),
        # what batches show under the name of a metric of the epoch
        (
            [
                *("Epoch: [1][ 5/9]\tLoss 1.5e+0 (1.4)\tAcc@1 1.2 (1.1)", " * Acc@1 50.1 Acc@5 99"),
                *("Epoch: [2][ 5/9]\tLoss 1.4e+0 (1.3)\tAcc@1 1.3 (1.2)", " * Acc@1 60.1 Acc@5 99"),
            ],
            {"loss": [1.5, 1.4], "acc_1": [50.1, 60.1], "acc_5": [99.0, 99.0]},
            {1, 2},
        ),
    ],
)  # fmt: skip
def test_values_and_steps(
    lines: list[str], values: dict[str, list[float]], steps: set[int]
) -> None:
    found = propose_patterns(lines)
    seen = reported([item.pattern for item in found], lines)
    assert (seen.values, seen.steps) == (values, steps), found


def test_what_changes_from_day_to_day_is_not_in_a_pattern() -> None:
    lines = [
        "I1201 00:42 7 t.py:13] [50] accuracy=0.9",
        "I1201 00:42 7 t.py:14] Final eval: accuracy = 0.8",
    ]
    patterns = [item.pattern for item in propose_patterns(lines)]
    seen = reported(patterns, [line.replace("1201", "1202") for line in lines])
    assert seen.values == {"accuracy": [0.9], "val_accuracy": [0.8]}


def test_the_heading_of_a_table_is_no_value() -> None:
    lines = ["epoch  val_loss", "1  0.5", "2  nan"]
    (found,) = propose_patterns(lines)
    assert [re.search(found.pattern, line) is not None for line in lines] == [False, True, True]


def test_counts_and_options_are_no_metrics() -> None:
    lines = ["train 22857 val 2857", "Loaded map 20 classes", "dropout: 0.5", "lr 0.1 time: 3.5"]
    assert propose_patterns(lines, ["dropout"]) == []
    assert not_understood(lines, []) == lines


names = st.sampled_from(["loss", "val_loss", "test acc", "valid ppl", "Train Loss", "F1", "MAE"])
pairs = st.tuples(names, st.sampled_from([": ", "=", " "]), st.floats(0, 9).map("{:.3f}".format))
starts = st.sampled_from(["", "epoch 3 | ", "| end of epoch 3 | ", "[3/9] ", "Eval: ", "step=3, "])


@given(st.lists(st.tuples(starts, st.lists(pairs, min_size=1, max_size=3)), max_size=6))
def test_patterns_take_from_each_line_what_it_shows(drawn: list[tuple[str, list[Any]]]) -> None:
    lines = [start + ", ".join(map("".join, row)) for start, row in drawn]
    for item in propose_patterns(lines):
        for line in lines:
            shown = {pair.name: float(pair.value) for pair in read_line(line).pairs}
            for match in re.finditer(item.pattern, line):
                groups = match.groupdict()
                assert {name: float(groups[name]) for name in item.names}.items() <= shown.items()


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_line_makes_patterns_that_compile_or_none(line: str) -> None:
    for item in propose_patterns([line]):
        assert re.compile(item.pattern).groupindex
        assert item.reports > 0
