from .cpu_slots import RAM_PER_TRIAL_BYTES as RAM_PER_TRIAL_BYTES
from .gpu_options import choose as choose, hypothetical as hypothetical
from .gpus import Reader as Reader, survey as survey
from .host import HostReader as HostReader
from .neighbours import (
    Ours as Ours,
    family as family,
    members as members,
    pids_comparable as pids_comparable,
    who_computes as who_computes,
)
