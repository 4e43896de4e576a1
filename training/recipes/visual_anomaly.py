"""Recipe `visual-anomaly`: finds what good pictures never show."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.anomaly_settings import AnomalyConfig


def visual_anomaly() -> AnomalyConfig:
    return AnomalyConfig(
        recipe="visual-anomaly",
        task="visual-anomaly-detection",
        name="visual-anomaly",
        epochs=20,
        batch_size=16,
        keep="last",
        optim=OptimConfig(learning_rate=2e-3, weight_decay=0.02),
        gates=GateConfig(beats=("mean-picture",), parity_atol=1e-3),
        batching=Batching(max_batch_size=16),
    )
