"""The options of a graph's runs, and how a wish to stop reaches the one that is under way."""

import onnxruntime as ort

from models.runtimes.onnxruntime.control import GRAPH_ID, NO_GRAPH


class GraphRuns:
    """For one session. `captures`: its runs may be captured and replayed (CUDA graphs), each kind under a
    number of its own; `plain` runs never are. Captured numbers are not used twice in a session's life: a
    replay works at the addresses of its capture, whatever became of them."""

    def __init__(self, *, captures: bool = False) -> None:
        self.captures = captures
        self.plain = ort.RunOptions()
        if captures:  # without a number the runtime would capture under one of its own
            self.plain.add_run_config_entry(GRAPH_ID, NO_GRAPH)
        self._captured: list[ort.RunOptions] = []

    def captured(self) -> ort.RunOptions:
        """For runs of one kind that was never seen before."""
        options = ort.RunOptions()
        self._captured.append(options)
        options.add_run_config_entry(GRAPH_ID, str(len(self._captured)))  # 0 is the runtime's own
        return options

    def stop(self) -> None:
        """From another thread: what runs fails soon, and so does what follows until `go_on`."""
        self._wish(is_stopped=True)

    def go_on(self) -> None:
        self._wish(is_stopped=False)

    def _wish(self, *, is_stopped: bool) -> None:
        for options in (self.plain, *self._captured):
            options.terminate = is_stopped
