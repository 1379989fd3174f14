from .keys import refuse_unbounded as refuse_unbounded
from .result_conditions import root_of as root_of
from .start import shortage as shortage, value_in as value_in
