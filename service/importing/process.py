"""A process that imports one file and ends: for a server, which must outlive what the file does to it.

The order is JSON in the only argument; the answer is one line of JSON on standard output.
"""

import json
import sys
from pathlib import Path

from models.errors import SlipwayError
from service.importing.draft import ImportOptions
from service.importing.importer import import_onnx
from service.workers.limits import limited


def main(argument: str) -> int:
    order = json.loads(argument)
    name, version = order["name"], order["version"]
    try:
        with limited(order["memory_bytes"], order["cpu_s"], f"{name}/{version}"):
            options = ImportOptions(name, description="derived from a bare graph")
            import_onnx(Path(order["file"]), Path(order["repository"]), options, version)
    except SlipwayError as error:
        print(json.dumps({"reason": error.reason, "message": error.message}))
        return 1
    print("{}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
