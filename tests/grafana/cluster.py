"""A page with the series of a cluster's exporters, as their documentation has them, about the test's pod.

There is no cluster here: kube-state-metrics, cAdvisor and dcgm-exporter cannot run. The server's own metrics
never come from this page.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from tests.grafana.prometheus import POD

_NAMESPACE, _NAME = POD["namespace"], POD["pod"]
_HPA = f'namespace="{_NAMESPACE}",horizontalpodautoscaler="keda-hpa-slipway"'
_DEPLOYMENT = f'namespace="{_NAMESPACE}",deployment="slipway"'
_CONTAINER = f'namespace="{_NAMESPACE}",pod="{_NAME}",container="slipway"'
_GPU = f'namespace="{_NAMESPACE}",pod="{_NAME}",gpu="0",UUID="GPU-5f0c",modelName="NVIDIA H200"'
_FIXED = {
    f"kube_deployment_spec_replicas{{{_DEPLOYMENT}}}": 2,
    f"kube_deployment_status_replicas_available{{{_DEPLOYMENT}}}": 1,
    f"kube_horizontalpodautoscaler_info{{{_HPA},scaletargetref_api_version=\"apps/v1\","
    'scaletargetref_kind="Deployment",scaletargetref_name="slipway"}': 1,
    f"kube_horizontalpodautoscaler_spec_min_replicas{{{_HPA}}}": 1,
    f"kube_horizontalpodautoscaler_spec_max_replicas{{{_HPA}}}": 4,
    f"kube_horizontalpodautoscaler_status_current_replicas{{{_HPA}}}": 2,
    f"DCGM_FI_DEV_FB_USED{{{_GPU}}}": 30_000,
    f"DCGM_FI_DEV_FB_FREE{{{_GPU}}}": 110_000,
    f"DCGM_FI_DEV_GPU_UTIL{{{_GPU}}}": 60,
    f"DCGM_FI_DEV_GPU_TEMP{{{_GPU}}}": 50,
    f"DCGM_FI_DEV_POWER_USAGE{{{_GPU}}}": 400,
    f"DCGM_FI_DEV_XID_ERRORS{{{_GPU}}}": 0,
    f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{_GPU}}}": 0.4,
}  # fmt: skip


class _Page(BaseHTTPRequestHandler):
    scrapes = count(1)

    def do_GET(self) -> None:
        periods = next(self.scrapes) * 10
        lines = [f"{series} {value}" for series, value in _FIXED.items()]
        lines.append(f"container_cpu_cfs_periods_total{{{_CONTAINER}}} {periods}")
        lines.append(f"container_cpu_cfs_throttled_periods_total{{{_CONTAINER}}} {periods // 5}")
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(("\n".join(lines) + "\n").encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def cluster_page() -> Iterator[str]:
    """Its host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
