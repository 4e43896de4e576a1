"""A convolutional network of the size that reads digits (LeCun et al. 1998, with ReLU and max pooling)."""

from benchmarks.graphs.net import Net
from benchmarks.graphs.pictures import Pictures

NAME = "digits-cnn"
SIDE, CLASSES = 28, 10
_SEEN = 64


def digits_cnn(pictures: Pictures) -> bytes:
    """The ONNX graph, x [batch, 1, 28, 28] → y [batch, 10], its last layer fitted to `pictures`."""
    net = Net(pictures.pixels[:_SEEN])
    value, before = "x", 1
    for after in (16, 32):
        value = net.relu(net.convolution(value, before, after, kernel=3))
        value = net.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
        before = after
    flat = net.node("Flatten", [value])
    wide = net.relu(net.gemm(flat, before * (SIDE // 4) ** 2, 128))
    net.fit(wide, *pictures, CLASSES)
    return net.serialized(("batch", 1, SIDE, SIDE), CLASSES)
