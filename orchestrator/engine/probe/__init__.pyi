from .propose import Probe as Probe, probe as probe
from .typed_arguments import launched as launched
