from .divergence_pruner import DivergencePruner as DivergencePruner
from .failed import LOST as LOST, imputed as imputed
from .pruners import Bands as Bands, is_pruners as is_pruners
from .studies import Studies as Studies
from .study import Proposal as Proposal, Study as Study
