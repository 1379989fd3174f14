from .audit_runs import Audited as Audited, audit as audit
from .flat_table import (
    cell as cell,
    flat_rows as flat_rows,
    load_results as load_results,
    to_csv as to_csv,
    to_json as to_json,
)
from .pipeline import (
    Comparison as Comparison,
    Incomplete as Incomplete,
    Lineage as Lineage,
    Row as Row,
    compare as compare,
)
