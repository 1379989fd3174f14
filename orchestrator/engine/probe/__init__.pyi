from .propose import Probe as Probe, probe as probe
