from .admission import Admission as Admission, AdmissionLimits as AdmissionLimits
from .duration_estimate import Durations as Durations
from .ordering import Want as Want, overtaken as overtaken
from .waiting import Waiting as Waiting
