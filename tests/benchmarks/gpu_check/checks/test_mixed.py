"""Where each model computes is read from the server's own metrics."""

from benchmarks.gpu_check.checks import mixed


def test_the_metrics_say_where_each_model_computes() -> None:
    text = (
        'slipway_session_info{model="on-gpu",version="1",requested_provider="cuda",'
        'active_provider="cuda",threads="2"} 1\n'
        'slipway_session_info{model="on-cpu",version="1",requested_provider="cpu",'
        'active_provider="cpu",threads="2"} 1\nslipway_other 3\n'
    )
    assert mixed.providers_of(text) == {"on-gpu": "cuda", "on-cpu": "cpu"}
