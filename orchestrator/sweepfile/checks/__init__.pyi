from .keys import refuse_unbounded as refuse_unbounded
from .start import shortage as shortage, value_in as value_in
