"""A script of W&B's world: no arguments, its parameters come from wandb.config."""

import time

import wandb

run = wandb.init(project="anything", config={"lr": 0.1, "epochs": 2})
value = 1.0
for epoch in range(wandb.config.epochs):
    value *= 1 - wandb.config["lr"]
    wandb.log({"epoch": epoch, "train/loss": value, "val/loss": value + 0.1})
    time.sleep(wandb.config.get("pause", 0))
run.finish()
