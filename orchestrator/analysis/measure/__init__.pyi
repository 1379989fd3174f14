from .row import Difference as Difference
from .measuring import measure as measure
