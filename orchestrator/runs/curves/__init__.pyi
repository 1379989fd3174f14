from . import cells as cells, tail as tail
from .formats.json_lines import JsonLinesParser as JsonLinesParser
from .formats.mlflow_store import MlflowRun as MlflowRun
from .formats.tensorboard import EventLog as EventLog, is_event_file as is_event_file
from .formats.wandb_log import WandbLog as WandbLog, is_wandb_log as is_wandb_log
from .log_reader import LoggedRun as LoggedRun, LogProblem as LogProblem, reader_of as reader_of
from .reader import read_runs as read_runs
