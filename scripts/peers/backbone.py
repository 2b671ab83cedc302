"""torchvision's ResNet50 without its head, with the normalization in front of it."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import models
from torchvision.models.resnet import Bottleneck

from dataset import MEAN, STD


class PixelsToFeatures(nn.Module):
    """`[N, 3, 224, 224] u8` to features `[N, 2048]` in `dtype`.

    Pixels travel as bytes and are normalized batch by batch: a quarter of the memory traffic of
    normalizing each image in the worker that decodes it.
    """

    def __init__(self, backbone, dtype):
        super().__init__()
        self.backbone = backbone.to(dtype)
        self.dtype = dtype
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels):
        return self.backbone(((pixels.float() - self.mean) / self.std).to(self.dtype))


class NhwcPixelsToFeatures(PixelsToFeatures):
    """The same for `[N, 224, 224, 3] u8`, the layout that Pillow decodes to."""

    def forward(self, pixels):
        return super().forward(pixels.permute(0, 3, 1, 2))


def load_backbone(weights):
    """The checkpoint's ResNet50, whose last layer passes its 2048 inputs on."""
    # On "meta" no random weights are drawn that the checkpoint would replace: half a second.
    with torch.device("meta"):
        backbone = models.resnet50()
    backbone.fc = nn.Identity()
    state_dict = torch.load(weights, weights_only=True)
    state_dict = {name: tensor for name, tensor in state_dict.items() if not name.startswith("fc.")}
    backbone.load_state_dict(state_dict, assign=True)
    return backbone.eval()


def fold_batch_norm(backbone):
    """Folds each batch norm into the convolution before it, in place.

    torch.fx would find the pairs by itself, but loading it takes longer than the folding.
    """
    backbone.conv1, backbone.bn1 = fuse_conv_bn_eval(backbone.conv1, backbone.bn1), nn.Identity()
    for block in backbone.modules():
        if not isinstance(block, Bottleneck):
            continue
        for index in "123":
            convolution, norm = getattr(block, f"conv{index}"), getattr(block, f"bn{index}")
            setattr(block, f"conv{index}", fuse_conv_bn_eval(convolution, norm))
            setattr(block, f"bn{index}", nn.Identity())
        if block.downsample is not None:
            block.downsample = fuse_conv_bn_eval(*block.downsample)
    return backbone
