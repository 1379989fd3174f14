from .measuring import measure as measure
from .row import Difference as Difference
