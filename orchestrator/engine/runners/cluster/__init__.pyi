from .agents import Cluster as Cluster
from .join import joined as joined
