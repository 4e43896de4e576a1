"""CapsNet routes by agreement, and its logits are the log-odds of the capsules' lengths."""

import pytest
import torch

from training.networks.capsnet import CapsNet, squash


def network(**settings: float) -> CapsNet:
    torch.manual_seed(0)
    wanted = {"width": 8, "maps": 1, "capsule": 4, "routing": 3, "reconstruction": 0.0, **settings}
    return CapsNet(1, 16, 3, **wanted)  # type: ignore[arg-type]


def test_squashing_keeps_the_direction_and_bounds_the_length() -> None:
    vectors = torch.randn(50, 6) * torch.logspace(-2, 2, 50)[:, None]
    squashed = squash(vectors)
    length = vectors.norm(dim=1)
    torch.testing.assert_close(squashed.norm(dim=1), length**2 / (1 + length**2), atol=1e-3, rtol=0)
    cosine = torch.nn.functional.cosine_similarity(vectors, squashed)
    torch.testing.assert_close(cosine, torch.ones(50))


def test_the_sigmoid_of_a_logit_is_the_length_of_the_class_capsule() -> None:
    caps = network().eval()
    image = torch.randn(4, 1, 16, 16)
    with torch.no_grad():
        sums = caps._route(caps._primaries(image))
        length = squash(sums).norm(dim=-1)
        torch.testing.assert_close(torch.sigmoid(caps(image)), length, atol=1e-3, rtol=1e-3)


def test_routing_strengthens_what_agrees() -> None:
    caps = network(routing=3)
    foretold = torch.zeros(1, 4, 2, 2)  # four primary capsules, two classes
    foretold[0, :, 0] = torch.tensor([1.0, 0.0])  # all foretell the same of the first class
    foretold[0, :, 1] = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    caps.foretelling = torch.nn.Parameter(foretold[0].unsqueeze(-1))
    with torch.no_grad():
        routed = caps._route(torch.ones(1, 4, 1)).norm(dim=-1)[0]
        caps.routing = 1
        unrouted = caps._route(torch.ones(1, 4, 1)).norm(dim=-1)[0]
    assert unrouted[0] == pytest.approx(2.0)
    assert routed[0] > unrouted[0] + 0.1
    assert routed[1] < 1e-5


def test_the_margin_loss_is_zero_beyond_its_margins() -> None:
    caps = network()
    far = torch.tensor([[5.0, -5.0, -5.0]])
    assert caps.loss(far, torch.tensor([0])).item() == pytest.approx(0.0, abs=1e-6)
    wrong = caps.loss(far, torch.tensor([1])).item()
    assert wrong == pytest.approx(0.9**2 + 0.5 * 0.9**2, abs=0.03)


def test_mixed_labels_are_taken_as_shares() -> None:
    caps = network()
    logits = torch.randn(2, 3)
    hard = caps.loss(logits, torch.tensor([2, 0]))
    shares = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(caps.loss(logits, shares), hard)


def test_redrawing_adds_to_the_loss_and_teaches_the_decoder() -> None:
    image, labels = torch.randn(3, 1, 16, 16), torch.tensor([0, 1, 2])
    plain, drawing = network(), network(reconstruction=1.0)
    loss = drawing.training_loss(image, labels)
    assert loss.item() > plain.training_loss(image, labels).item()
    loss.backward()
    assert all(bool((weight.grad != 0).any()) for weight in drawing.decoder.parameters())
