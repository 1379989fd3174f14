from . import metadata as metadata
from .run_files import ROLES as ROLES, SPLITS as SPLITS, usual_places as usual_places
