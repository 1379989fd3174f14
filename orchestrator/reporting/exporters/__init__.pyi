from .exported_run import (
    ExportedRun as ExportedRun,
    Exporter as Exporter,
    all_exporters as all_exporters,
    runs_of as runs_of,
)
