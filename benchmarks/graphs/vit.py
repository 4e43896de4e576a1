"""ViT-small: what a vision transformer costs, without a download.

Dosovitskiy et al. 2020 ("An Image is Worth 16x16 Words") in the size of Touvron et al. 2020 (DeiT-S): 12
layers, 384 wide, 6 heads, patches of 16×16 pixels; tokens are averaged before the last layer instead of
reading a class token (Zhai et al. 2021), so there are 196 of them and not 197. Normalisation comes first in
each half layer, and the nodes are those that exporters write (layer normalisation whole, GELU as its Erf).
"""

import numpy as np

from benchmarks.graphs.net import Net
from benchmarks.graphs.pictures import Pictures

NAME = "vit-small"
SIDE, CLASSES = 224, 1000
_PATCH, _WIDTH, _HEADS, _LAYERS = 16, 384, 6, 12
_TOKENS = (SIDE // _PATCH) ** 2
_HEAD = _WIDTH // _HEADS
# Of what every half layer adds, where training begins (Radford et al. 2019, "Language Models are Unsupervised
# Multitask Learners", 2.3): else the noise of eight bits adds up to more than what tells two pictures apart.
_BRANCH_SCALE = (2 * _LAYERS) ** -0.5
_SEEN = 8


def vit(pictures: Pictures, layers: int = _LAYERS) -> bytes:
    """The ONNX graph, x [batch, 3, 224, 224] → y [batch, 1000], its last layer fitted to `pictures`."""
    net = Net(pictures.pixels[:_SEEN])
    patches = net.convolution("x", 3, _WIDTH, kernel=_PATCH, stride=_PATCH, pad=0)
    rows = net.node("Reshape", [patches, _sizes(net, 0, _WIDTH, _TOKENS)])
    tokens = net.node("Transpose", [rows], perm=[0, 2, 1])
    tokens = net.node("Add", [tokens, net.weight(1, _TOKENS, _WIDTH, scale=0.5)])
    for _ in range(layers):
        tokens = net.node("Add", [tokens, _attention(net, _normalized(net, tokens))])
        tokens = net.node("Add", [tokens, _perceptron(net, _normalized(net, tokens))])
    mean = net.node("ReduceMean", [_normalized(net, tokens), _sizes(net, 1)], keepdims=0)
    net.fit(mean, *pictures, CLASSES)
    return net.serialized(("batch", 3, SIDE, SIDE), CLASSES)


def _attention(net: Net, x: str) -> str:
    """[N, T, W] → [N, T, W]."""
    query, key, value = (
        net.node("Transpose", [_split(net, _linear(net, x, _WIDTH, _WIDTH))], perm=perm)
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    )
    scale = net.constant(np.array(_HEAD**-0.5, np.float32))
    scores = net.node(
        "Softmax", [net.node("Mul", [net.node("MatMul", [query, key]), scale])], axis=-1
    )
    mixed = net.node("Transpose", [net.node("MatMul", [scores, value])], perm=[0, 2, 1, 3])
    joined = net.node("Reshape", [mixed, _sizes(net, 0, _TOKENS, _WIDTH)])
    return _linear(net, joined, _WIDTH, _WIDTH, _BRANCH_SCALE)


def _perceptron(net: Net, x: str) -> str:
    wide = _linear(net, x, _WIDTH, 4 * _WIDTH)
    root, one, half = (net.constant(np.array(n, np.float32)) for n in (2**0.5, 1.0, 0.5))
    share = net.node("Add", [net.node("Erf", [net.node("Div", [wide, root])]), one])
    gelu = net.node("Mul", [net.node("Mul", [wide, share]), half])
    return _linear(net, gelu, 4 * _WIDTH, _WIDTH, _BRANCH_SCALE)


def _linear(net: Net, x: str, before: int, after: int, scale: float = 1.0) -> str:
    product = net.node("MatMul", [x, net.weight(before, after, scale=scale * before**-0.5)])
    return net.node("Add", [product, net.weight(after, scale=0.02)])


def _normalized(net: Net, x: str) -> str:
    scale = net.constant(np.ones(_WIDTH, np.float32))
    bias = net.constant(np.zeros(_WIDTH, np.float32))
    return net.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=1e-6)


def _split(net: Net, x: str) -> str:
    return net.node("Reshape", [x, _sizes(net, 0, _TOKENS, _HEADS, _HEAD)])


def _sizes(net: Net, *sizes: int) -> str:
    """0 keeps the batch as it is."""
    return net.constant(np.array(sizes, np.int64))
