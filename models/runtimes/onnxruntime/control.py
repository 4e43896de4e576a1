"""The options of runs, and how a wish to stop reaches those that are under way."""

import onnxruntime as ort

from models.runtimes.onnxruntime.options import SILENT

GRAPH_ID = "gpu_graph_id"
NO_GRAPH = "-1"  # this run neither captures nor replays
SHRINK = "memory.enable_memory_arena_shrinkage"


class RunControl:
    """For all runs of one session. Options are made once per kind of run: the runtime logs a warning when
    an entry is written over."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[str, str], ...], ort.RunOptions] = {}
        self._is_stopped = False

    def options(self, *entries: tuple[str, str]) -> ort.RunOptions:
        """For one run, with these entries; `terminate` in them says afterwards whether it was told to stop.
        A wish that came after the last run had ended is forgotten: it was not meant for this one."""
        if self._is_stopped:
            self._made, self._is_stopped = {}, False
        made = self._made.get(entries)
        if made is None:
            made = ort.RunOptions()
            made.log_severity_level = SILENT
            for key, value in entries:
                made.add_run_config_entry(key, value)
            self._made[entries] = made
        return made

    def stop(self) -> None:
        """From another thread: runs end as soon as the runtime looks, between two nodes."""
        self._is_stopped = True
        for options in list(self._made.values()):
            options.terminate = True
