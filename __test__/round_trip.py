"""What PyTorch makes of our checkpoints, and weights of its own for us.

    python round_trip.py FOLDER

FOLDER holds `pictures`, float32 `[n, 3, 32, 32]`, and a checkpoint of each network with ten classes by its name below.
Each is loaded strictly. Then, for these and for networks filled with made-up values, come `<name>.float32` and
`<name>.float64`, the logits in evaluation mode, and the weights as `<name>.pth`, `<name>.legacy.pth` (as before version
1.6) and `<name>.plain.safetensors`.
"""

import pathlib
import sys

import numpy as np
import timm
import torch
import torchvision.models
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).parent / "fixtures" / "parity"))
import make_parity as parity

OURS = {
    "v1": lambda: timm.create_model("mobilenetv1_100", num_classes=10),
    "v2": lambda: torchvision.models.mobilenet_v2(num_classes=10),
    "v3-large": lambda: torchvision.models.mobilenet_v3_large(num_classes=10),
    "v3-small": lambda: torchvision.models.mobilenet_v3_small(num_classes=10),
}
THEIRS = {
    "torchvision-v2": OURS["v2"],
    "torchvision-v2-035": lambda: torchvision.models.mobilenet_v2(num_classes=10, width_mult=0.35),
    "torchvision-v3-large": OURS["v3-large"],
    "torchvision-v3-small": OURS["v3-small"],
    "torchvision-v3-small-06": lambda: torchvision.models.mobilenet_v3_small(num_classes=10, width_mult=0.6),
    "timm-v1": OURS["v1"],
    "timm-v2": lambda: timm.create_model("mobilenetv2_100", num_classes=10),
    "timm-v3-large": lambda: timm.create_model("mobilenetv3_large_100", num_classes=10),
    "timm-v3-small": lambda: timm.create_model("mobilenetv3_small_100", num_classes=10),
}

torch.set_num_threads(1)
folder = pathlib.Path(sys.argv[1])
pictures = torch.from_numpy(np.fromfile(folder / "pictures", np.float32)).reshape(-1, 3, 32, 32)


def small_variances(model):
    """So small that what is added to a variance shows, as in the quiet channels of trained networks."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var[::4] *= 1e-4
            module.weight.data[::4] *= 1e-2
    return model


def answer(name, model):
    state = model.state_dict()
    torch.save(state, folder / f"{name}.pth")
    torch.save(state, folder / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    save_file(state, folder / f"{name}.plain.safetensors")
    for dtype in torch.float32, torch.float64:
        with torch.no_grad():
            logits = model.to(dtype).eval()(pictures.to(dtype))
        logits.double().numpy().tofile(folder / f"{name}.{str(dtype).split('.')[1]}")


for name, build in OURS.items():
    model = build()
    model.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=True)
    answer(name, model)
for name, build in THEIRS.items():
    answer(name, small_variances(parity.fill(build(), "")))
