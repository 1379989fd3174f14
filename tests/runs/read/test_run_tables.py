from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.analysis.table import compare
from orchestrator.analysis.table.flat_table import to_csv
from orchestrator.errors import UsageError
from orchestrator.runs.curves import read_runs

OPTUNA = """,number,value,datetime_start,duration,params_lr,params_layers,user_attrs_acc,state
0,0,0.31,2026-01-01 10:00:00,0 days 00:01:00,0.001,2,0.8,COMPLETE
1,1,,2026-01-01 10:01:00,0 days 00:01:00,0.1,3,,FAIL
2,2,0.21,2026-01-01 10:02:00,0 days 00:01:00,0.01,2,0.9,COMPLETE
"""
WANDB = """"Name","State","Created","Runtime","batch_size","lr","opt","epoch","train/loss","val/acc"
"sun-3","finished","2026-01-01T00:00:00Z","120","32","0.001","adam","9","0.2","0.91"
"fox-2","crashed","2026-01-01T00:00:00Z","30","32","0.1","sgd","2","2.2","0.11"
"sea-1","finished","2026-01-01T00:00:00Z","110","64","0.001","adam","9","0.3","0.93"
"""
NEPTUNE = """sys/id,sys/name,sys/state,parameters/lr,parameters/net/depth,metrics/val/acc,sys/cpu
RUN-1,a,Inactive,0.001,3,0.7,30
RUN-2,b,Inactive,0.01,4,0.8,30
"""
AUTOGLUON = """model,score_test,score_val,eval_metric,pred_time_val,fit_time,stack_level,can_infer
Ensemble,0.84,0.86,accuracy,0.2,30.1,2,True
LightGBM,0.85,0.85,accuracy,0.2,3.1,1,True
"""
MLFLOW = """run_id,status,start_time,metrics.val_loss,params.lr,tags.mlflow.runName
aa,FINISHED,1,0.3,0.1,foo-1
bb,FINISHED,1,0.2,0.01,foo-2
cc,FAILED,1,,0.01,foo-3
"""
SKLEARN = """,mean_fit_time,param_C,params,split0_test_score,mean_test_score,rank_test_score
0,0.1,1,{'C': 1},0.99,0.85,2
1,0.1,10,{'C': 10},0.90,0.93,1
"""
RAY = """val_loss,training_iteration,trial_id,time_total_s,config/lr,logdir
0.3,10,a1,1.2,0.1,a
0.2,10,a2,1.3,0.01,b
"""
BY_HAND = """lr;batch;epochs;val_acc;notes
0,1;32;10;0,7;first
0,01;32;10;0,8;
0,01;64;20;0,75;slow, but good
"""
LINES = """{"name": "a", "config": {"lr": 0.1}, "val_acc": 0.3}
{"name": "b", "config": {"lr": 0.01}, "val_acc": 0.5}
"""


@pytest.mark.parametrize(
    ("text", "metric", "trials", "config", "failed"),
    [
        (OPTUNA, "acc", ["number 2", "number 0"], {"lr": 0.01, "layers": 2}, ["number 1"]),
        (WANDB, "val/acc", ["sea-1", "sun-3"], {"batch_size": 64, "opt": "adam"}, ["fox-2"]),
        (NEPTUNE, "metrics/val/acc", ["b", "a"], {"lr": 0.01, "net/depth": 4}, []),
        (AUTOGLUON, "score_val", ["Ensemble", "LightGBM"], {"eval_metric": "accuracy"}, []),
        (MLFLOW, "val_loss", ["foo-2", "foo-1"], {"lr": 0.01}, ["foo-3"]),
        (SKLEARN, "mean_test_score", ["row 2", "row 1"], {"C": 10}, []),
        (RAY, "val_loss", ["a2", "a1"], {"lr": 0.01}, []),
        (BY_HAND, "val_acc", ["row 2", "row 3", "row 1"], {"lr": 0.01, "epochs": 10}, []),
        (LINES, "val_acc", ["b", "a"], {"lr": 0.01}, []),
    ],
)
def test_each_row_of_an_exported_table_is_a_run(
    tmp_path: Path, text: str, metric: str, trials: list[str], config: dict[str, object],
    failed: list[str],
) -> None:  # fmt: skip
    table = tmp_path / ("runs.jsonl" if text.startswith("{") else "runs.csv")
    table.write_text(text)
    found = compare([table])
    assert found.sort_by == metric
    assert [row.trial for row in found.rows] == trials
    assert config.items() <= found.rows[0].config.items()
    assert [one.trial for one in found.incomplete] == failed


def test_a_table_that_compare_wrote_is_ranked_again(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(WANDB)
    first = compare([tmp_path / "runs.csv"])
    (tmp_path / "again.csv").write_text(to_csv(first))
    again = compare([tmp_path / "again.csv"])
    assert [(row.trial, row.metrics, row.config) for row in again.rows] == [
        (row.trial, row.metrics, row.config) for row in first.rows
    ]


def test_a_value_whose_direction_is_unknown_says_so(tmp_path: Path) -> None:
    (tmp_path / "study.csv").write_text("number,value,params_lr\n0,0.3,0.1\n1,0.2,0.01\n")
    notes = " ".join(compare([tmp_path / "study.csv"]).notes)
    assert "does not show which way is better" in notes
    best = compare([tmp_path / "study.csv"], sort_by="value", goal="maximize").rows[0]
    assert best.trial == "number 0"


@pytest.mark.parametrize(
    "log",
    [
        "epoch,loss,val_loss\n0,0.9,0.8\n1,0.6,0.7\n",
        "step,lr,loss\n10,0.1,0.9\n20,0.1,0.6\n",
        # Ray repeats name and config of the run.
        "loss,training_iteration,trial_id,config/lr\n0.9,1,a,0.1\n0.6,2,a,0.1\n",
        "loss,training_iteration,trial_id,config/lr\n0.9,1,a,0.1\n",
    ],
)
def test_a_log_is_one_run(tmp_path: Path, log: str) -> None:
    (tmp_path / "log.csv").write_text(log)
    (run,) = compare([tmp_path / "log.csv"]).rows
    assert run.trial == "log.csv"
    assert min(run.metrics.values()) <= 0.9


def test_a_long_table_holds_the_runs_that_it_names(tmp_path: Path) -> None:
    lines = [
        f"{run},{split},loss,{step},{value}"
        for run, value in (("cool run", 0.5), ("hot run", 0.4))
        for split in ("train", "val")
        for step in (1, 2)
    ]
    heading = "run.name,metric.context.subset,metric.name,step,value"
    (tmp_path / "long.csv").write_text("\n".join([heading, *lines]) + "\n")
    found = compare([tmp_path / "long.csv"])
    assert [row.trial for row in found.rows] == ["hot run", "cool run"]
    assert found.rows[0].metrics == {"train_loss": 0.4, "val_loss": 0.4}


def test_a_table_in_a_folder_is_ranked_unless_the_runs_are_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(WANDB)
    assert [row.trial for row in compare([tmp_path]).rows] == ["sea-1", "sun-3"]
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "metrics.csv").write_text("epoch,val_acc\n1,0.5\n2,0.6\n")
    assert [row.trial for row in compare([tmp_path]).rows] == ["one"]


def test_a_table_of_runs_is_no_learning_curve(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(WANDB)
    with pytest.raises(UsageError, match=r"each row is another run.*sweep compare"):
        read_runs(tmp_path / "runs.csv")
