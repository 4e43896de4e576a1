"""Networks: plain `torch.nn.Module`s with a shape legend on top, one family a module."""
