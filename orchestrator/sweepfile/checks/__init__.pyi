from .keys import refuse_unbounded as refuse_unbounded
from .result_conditions import root_of as root_of
