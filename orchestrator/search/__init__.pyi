from .database import Database as Database
from .divergence_pruner import DivergencePruner as DivergencePruner
from .parameter_importance import Importance as Importance, importance as importance
from .pruners import Bands as Bands, is_pruners as is_pruners
from .recorded import LOST as LOST, imputed as imputed
from .samplers import check_classes as check_classes
from .studies import Studies as Studies
from .study import Proposal as Proposal, Study as Study
