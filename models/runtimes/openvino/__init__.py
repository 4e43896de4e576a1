"""OpenVINO on the CPU, one concern per module:

    session    open a graph, describe it, run it, stop it
    library    its one core; the graph as it reads it
    external   weights that lie beside the graph
    inputs     what it would take silently and answer wrongly
    ranges     which whole numbers a graph can be asked for
    operators  what it answers wrongly, whatever it is asked
    errors     its messages → our errors

Importing this imports the runtime; `models.runtimes` does so when the first session is opened.

Importing the openvino package sends an event to its makers (openvino/tools/ovc/__init__.py) unless the
package that would send is missing; then a stub takes its place. So it is made to be missing here, first.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # import's word for "absent"

from models.runtimes.openvino.session import OpenVinoSession, open_session  # noqa: E402

__all__ = ["OpenVinoSession", "open_session"]
