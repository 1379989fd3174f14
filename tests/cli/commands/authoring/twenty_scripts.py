# ruff: noqa: E501
"""Twenty programs of different kinds, each as people write them, in as few lines as possible."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Script:
    """A program, how it is probed, and what a sweep of it must give.

    Attributes:
        files: name to content; the first is the program.
        metric: what ranks the trials, and its direction.
        steps: those that a trial reports.
        needs: a package without which it cannot run.
    """

    files: dict[str, str]
    words: tuple[str, ...] = ()
    metric: tuple[str, str] = ("val_loss", "minimize")
    steps: tuple[int, ...] = (1, 2)
    needs: str = ""
    program: str = ""
    environment: dict[str, str] = field(default_factory=dict)


ARGPARSE = """import argparse
p = argparse.ArgumentParser()
p.add_argument('--lr', type=float, default=0.1)
p.add_argument('--epochs', type=int, default=5)
a = p.parse_args()
"""
NOTEBOOK = json.dumps({
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3",
                                "language": "python"}},
    "cells": [
        {"cell_type": "code", "id": tag, "metadata": {"tags": [tag]}, "source": source,
         "execution_count": None, "outputs": []}
        for tag, source in (
            ("parameters", "lr = 0.1\nepochs = 2"),
            ("train", "for e in range(1, epochs + 1):\n    print(f'epoch {e} val_loss {1 / e + lr}')"),
        )
    ],
})  # fmt: skip
LOOP = """for e in range(1, epochs + 1):
    print(f'Epoch {e}/{epochs} train_loss {1 / e + lr:.4f} val_loss {1.1 / e + lr:.4f}', flush=True)
"""

SCRIPTS = {
    "pytorch_loop": Script(
        {"train.py": ARGPARSE + "epochs, lr = a.epochs, a.lr\n" + LOOP}, ("--epochs", "2")
    ),
    "word_language_model": Script(
        {
            "main.py": ARGPARSE + "for e in range(1, a.epochs + 1):\n"
            "    for b in (200, 400):\n"
            "        print(f'| epoch {e:3d} | {b:5d}/  400 batches | lr {a.lr:02.2f} | '\n"
            "              f'ms/batch 5.00 | loss {6 / e + a.lr:5.2f} | ppl {9:8.2f}')\n"
            "    print('-' * 89)\n"
            "    print(f'| end of epoch {e:3d} | time:  1.00s | valid loss {5 / e + a.lr:5.2f} |')\n"
            "print('=' * 89)\nprint(f'| End of training | test loss {4 + a.lr:5.2f} |')\n"
        },
        ("--epochs", "2"),
    ),
    "mnist": Script(
        {
            "main.py": "import argparse\np = argparse.ArgumentParser()\n"
            "p.add_argument('--batch-size', type=int, default=64)\n"
            "p.add_argument('--lr', type=float, default=1.0)\n"
            "p.add_argument('--no-cuda', action='store_true')\n"
            "p.add_argument('--epochs', type=int, default=14)\n"
            "p.add_argument('--save-model', action='store_true')\na = p.parse_args()\n"
            "assert a.no_cuda\n"
            "for e in range(1, a.epochs + 1):\n    for b in range(3):\n"
            "        print(f'Train Epoch: {e} [{b * 640}/1920 ({b * 33}%)]\\tLoss: {1 / e:.6f}')\n"
            "    print(f'\\nTest set: Average loss: {0.1 / e + a.lr:.4f}, '\n"
            "          f'Accuracy: {90 + e}/100 ({90 + e}%)\\n')\n"
        },
        ("--epochs", "2", "--no-cuda"),
        ("test_accuracy", "maximize"),
    ),
    "lightning": Script(
        {
            "fit.py": ARGPARSE.replace("epochs", "max_epochs") + "import csv, itertools, os\n"
            "n = next(i for i in itertools.count() if not os.path.exists(f'lightning_logs/version_{i}'))\n"
            "folder = f'lightning_logs/version_{n}'\nos.makedirs(folder + '/checkpoints')\n"
            "with open(folder + '/metrics.csv', 'w') as f:\n"
            "    w = csv.writer(f)\n    w.writerow(['epoch', 'step', 'train_loss', 'val_acc'])\n"
            "    for e in range(a.max_epochs):\n"
            "        w.writerow([e, 10 * e + 9, 1 / (e + 1), ''])\n"
            "        w.writerow([e, 10 * e + 9, '', 0.5 + e / 10 + a.lr / 100])\n"
            "open(folder + '/checkpoints/last.ckpt', 'w').write('x')\n"
        },
        ("--max_epochs", "2"),
        ("val_acc", "maximize"),
        (0, 1),
    ),
    "hugging_face": Script(
        {
            "run.py": "from dataclasses import dataclass\nimport sys\n"
            + ARGPARSE
            + "for e in range(1, a.epochs + 1):\n"
            "    print({'loss': round(1 / e, 4), 'grad_norm': 1.5, 'learning_rate': 5e-05,"
            " 'epoch': e - 0.5})\n"
            "    print({'eval_loss': round(1 / e + a.lr, 4), 'eval_runtime': 1.2,"
            " 'eval_samples_per_second': 300.5, 'epoch': float(e)})\n"
        },
        ("--epochs", "2"),
        steps=(0, 1, 2),
    ),
    "keras": Script(
        {
            "train.py": ARGPARSE + "for e in range(a.epochs):\n"
            "    print(f'Epoch {e + 1}/{a.epochs}')\n"
            "    print(f'32/32 - 1s - 20ms/step - loss: {1 / (e + 1):.4f} - accuracy: 0.{e + 5} - '\n"
            "          f'val_loss: {1 / (e + 1):.4f} - val_accuracy: {0.5 + e / 10 + a.lr / 99:.4f}')\n"
        },
        ("--epochs", "2"),
        ("val_accuracy", "maximize"),
    ),
    "scikit_learn": Script(
        {
            "fit.py": "import argparse\np = argparse.ArgumentParser()\n"
            "p.add_argument('--n-estimators', type=int, default=10)\n"
            "p.add_argument('--max-depth', type=int)\na = p.parse_args()\n"
            "print(f'Loaded 150 rows with 4 features')\n"
            "for q in (10, 50, 90):\n    print(f'AE-at-{q}th-percentile: {q / 10 + 0.123}')\n"
            "print(f'RMSE: {3.2 + a.n_estimators / 100}')\n"
        },
        (),
        ("rmse", "minimize"),
        (1,),
    ),
    "xgboost": Script(
        {
            "boost.py": ARGPARSE + "for i in range(12):\n"
            "    print(f'[{i}]\\ttrain-auc:{0.5 + i / 99:.5f}\\teval-auc:{0.5 + i / 99 - a.lr / 99:.5f}')\n"
        },
        (),
        ("val_auc", "maximize"),
        tuple(range(12)),
    ),
    "hydra": Script(
        {
            "train.py": "import hydra\n@hydra.main(version_base=None, config_path='conf',"
            " config_name='config')\ndef main(cfg):\n    epochs, lr = cfg.epochs, cfg.optim.lr\n"
            + "".join(f"    {line}\n" for line in LOOP.splitlines())
            + "main()\n",
            "conf/config.yaml": "epochs: 2\noptim: {lr: 0.1}\n",
        },
        needs="hydra",
    ),
    "click": Script(
        {
            "train.py": "import click\n@click.command()\n@click.option('--lr', default=0.1)\n"
            "@click.option('--epochs', default=5)\n@click.option('--amp/--no-amp', default=True)\n"
            "def main(lr, epochs, amp):\n    assert not amp\n"
            + "".join(f"    {line}\n" for line in LOOP.splitlines())
            + "main()\n"
        },
        ("--epochs", "2", "--no-amp"),
    ),
    "typer": Script(
        {
            "train.py": "import typer\ndef main(lr: float = 0.1, num_epochs: int = 5):\n"
            "    epochs = num_epochs\n"
            + "".join(f"    {line}\n" for line in LOOP.splitlines())
            + "typer.run(main)\n"
        },
        ("--num-epochs", "2"),
        needs="typer",
    ),
    "tyro": Script(
        {
            "train.py": "import tyro\nfrom dataclasses import dataclass, field\n"
            "@dataclass\nclass Optim:\n    lr: float = 0.1\n"
            "@dataclass\nclass Config:\n    optim: Optim = field(default_factory=Optim)\n"
            "    epochs: int = 5\nc = tyro.cli(Config)\nepochs, lr = c.epochs, c.optim.lr\n" + LOOP
        },
        ("--epochs", "2"),
        needs="tyro",
    ),
    "fire": Script(
        {
            "train.py": "import fire\ndef main(lr=0.1, epochs=5):\n"
            + "".join(f"    {line}\n" for line in LOOP.splitlines())
            + "fire.Fire(main)\n"
        },
        ("--epochs=2",),
        needs="fire",
    ),
    "configurator": Script(
        {
            "train.py": "lr = 0.1\nmax_iters = 500\n"
            "exec(open('configurator.py').read())\n"
            "print('train has 22857 tokens, val 2857')\n"
            "for i in range(0, max_iters + 1, 250):\n"
            "    print(f'step {i}: train loss {3 - i / 999:.4f}, val loss {3 - i / 999 + lr:.4f}')\n"
            "    print(f'iter {i}: loss {3 - i / 999:.4f}, time 30.21ms, mfu 3.40%')\n",
            "configurator.py": "import sys\nfrom ast import literal_eval\nfor arg in sys.argv[1:]:\n"
            "    key, val = arg.split('=')\n    key = key[2:]\n    attempt = literal_eval(val)\n"
            "    assert type(attempt) == type(globals()[key])\n    globals()[key] = attempt\n",
        },
        (),
        steps=(0, 250, 500),
    ),
    "shell": Script(
        {
            "train.sh": "#!/bin/bash\nlr=${LR:-0.1}\n"
            'for epoch in 1 2; do echo "epoch $epoch val_loss=0.$epoch${lr#0.}"; done\n'
            'echo "lr $lr"\n'
        },
        (),
    ),
    "makefile": Script(
        {
            "Makefile": "LR = 0.1\ntrain:\n\t@python train.py --lr $(LR) --epochs 2\n",
            "train.py": ARGPARSE + "epochs, lr = a.epochs, a.lr\n" + LOOP,
        },
        ("train", "LR=0.1"),
        program="make",
    ),
    "params_file": Script(
        {
            "train.py": "import yaml\nparams = yaml.safe_load(open('params.yaml'))\n"
            "lr, epochs = params['train']['lr'], params['train']['epochs']\n" + LOOP,
            "params.yaml": "seed: 1\ntrain: {lr: 0.1, epochs: 2}\n",
        },
    ),
    "notebook": Script({"train.ipynb": NOTEBOOK}, needs="papermill"),
    "subcommands": Script(
        {
            "main.py": "import argparse\np = argparse.ArgumentParser()\n"
            "p.add_argument('--verbose', action='store_true')\n"
            "s = p.add_subparsers(dest='cmd', required=True)\n"
            "def options(q):\n    for name, kind, default in (('lr', float, 0.1), ('epochs', int, 3)):\n"
            "        q.add_argument('--' + name, type=kind, default=default, help='(default: %(default)s)')\n"
            "options(s.add_parser('train'))\ns.add_parser('test')\na = p.parse_args()\n"
            "for e in range(a.epochs):\n    print({'epoch': e, 'val/loss': 2 / (e + 1) + a.lr})\n"
        },
        ("--verbose", "train", "--epochs", "2"),
        steps=(0, 1),
    ),
    "launcher": Script(
        {
            "launch.py": ARGPARSE + "import subprocess, sys\n"
            "ranks = [subprocess.Popen([sys.executable, 'worker.py', str(a.lr), str(r)])"
            " for r in (0, 1)]\nsys.exit(max(rank.wait() for rank in ranks))\n",
            "worker.py": "import sys\nlr, rank = float(sys.argv[1]), int(sys.argv[2])\n"
            "for e in (1, 2):\n    if rank == 0:\n"
            "        print(f'[rank {rank}] epoch {e}: val_loss={1 / e + lr:.4f}', flush=True)\n",
        },
    ),
    "tensorboard": Script(
        {
            "train.py": ARGPARSE + "from tensorboardX import SummaryWriter\nw = SummaryWriter()\n"
            "for e in range(1, a.epochs + 1):\n"
            "    w.add_scalar('Loss/train', 1 / e, e)\n    w.add_scalar('Loss/val', 1 / e + a.lr, e)\n"
            "w.close()\n"
        },
        ("--epochs", "2"),
        ("Loss/val", "minimize"),
    ),
    "csv": Script(
        {
            "train.py": ARGPARSE + "with open('log.csv', 'w') as f:\n"
            "    f.write('epoch,train_loss,val_f1\\n')\n    for e in range(1, a.epochs + 1):\n"
            "        f.write(f'{e},{1 / e},{0.5 + e / 10 + a.lr / 99}\\n')\n"
            "open('best.pt', 'w').write('x')\n"
        },
        ("--epochs", "2"),
        ("val_f1", "maximize"),
    ),
}
