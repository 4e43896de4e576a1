"""Recipes `visual-anomaly` and `visual-anomaly-autoencoder`: find what good pictures never show."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.anomaly_settings import AnomalyConfig

_BEATS = ("mean-picture",)
# Distances are sums over many features: the last digits are the order of addition.
_PARITY_ATOL = 1e-3


def visual_anomaly() -> AnomalyConfig:
    """Feature distance: far better than redrawing on textures."""
    return AnomalyConfig(
        recipe="visual-anomaly",
        task="visual-anomaly-detection",
        name="visual-anomaly",
        epochs=20,
        batch_size=16,
        keep="last",
        optim=OptimConfig(learning_rate=2e-3, weight_decay=0.02),
        gates=GateConfig(accuracy_floor=0.95, beats=_BEATS, parity_atol=_PARITY_ATOL),
        batching=Batching(max_batch_size=16),
    )


def visual_anomaly_autoencoder() -> AnomalyConfig:
    """Finds what is wrongly drawn, and hardly what is missing, a smear for one."""
    return visual_anomaly().model_copy(
        update={
            "recipe": "visual-anomaly-autoencoder",
            "name": "visual-anomaly-autoencoder",
            "method": "autoencoder",
            "gates": GateConfig(accuracy_floor=0.85, beats=_BEATS, parity_atol=_PARITY_ATOL),
        }
    )
