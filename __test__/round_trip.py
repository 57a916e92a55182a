"""Loads a checkpoint into timm's MobileNet V1, strictly; writes its logits, and its weights as PyTorch saves them."""

import sys

import numpy as np
import timm
import torch
from safetensors.torch import load_file

checkpoint, pictures, logits, weights = sys.argv[1:]

model = timm.create_model("mobilenetv1_100", num_classes=10)
model.conv_stem.stride = (1, 1)  # layout `cifar`
model.load_state_dict(load_file(checkpoint))
model.eval()
with torch.no_grad():
    x = torch.from_numpy(np.fromfile(pictures, np.float32)).reshape(-1, 3, 32, 32)
    model(x).numpy().tofile(logits)
torch.save(model.state_dict(), weights)
