from . import metadata as metadata
from .run_files import ROLES as ROLES, usual_places as usual_places
