"""What `helm test` runs in a pod of the server's image, with Python's standard library alone."""

import json
import os
import sys
import urllib.request


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 (the chart names it)
        return str(answer.read(), "utf-8")


service, metrics = os.environ["SERVICE"], os.environ["METRICS"]
print("ready:", get(f"{service}/v2/health/ready"))
for name in filter(None, os.environ["MODELS"].split(",")):
    about = json.loads(get(f"{service}/v2/models/{name}"))
    print("model:", about["name"], "versions", ", ".join(about["versions"]))
if "slipway_server_ready 1" not in get(f"{metrics}/metrics").splitlines():
    sys.exit("the metrics do not say that the server is ready")
print("metrics: ready")
