from .row import Difference as Difference
