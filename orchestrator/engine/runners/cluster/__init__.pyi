from .join import joined as joined
from .sweep_nodes import Cluster as Cluster
