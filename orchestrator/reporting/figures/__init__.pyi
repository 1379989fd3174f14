from .all_figures import draw as draw
from .drawing import Drawing as Drawing, is_number as is_number
from .learning_curves import MOST_RUNS as MOST_RUNS
from .style import COLORS as COLORS, style_of as style_of
