"""State dicts as torchvision publishes them, and as training scripts leave them, all with the same values.

    python published.py FOLDER

torchvision's files of V2 are from 2019, in the format from before PyTorch 1.6, and its newer ones are ZIP archives; both are
written on machines with cards. For each network and form comes `<name>.<form>.zip.pth` and `<name>.<form>.legacy.pth`, and
with the values that PyTorch reads `<name>.safetensors` or, where they are rounded, `<name>.<form>.safetensors`.
"""

import collections
import pathlib
import sys

import torch
import torchvision.models
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(1)
# Where its storages are, a file says; nothing else in it is another on a card.
torch.serialization.location_tag = lambda storage: "cuda:0"


def half(tensor):
    return tensor.half() if tensor.is_floating_point() else tensor


def channels_last(tensor):
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def transposed(tensor):
    return tensor.transpose(0, -1).contiguous().transpose(0, -1) if tensor.dim() > 1 else tensor


def every_second(tensor):
    return torch.stack([tensor, torch.full_like(tensor, 9)], -1)[..., 0]


def parameter(tensor):
    return torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor


def of_one_storage(state):
    """Views into one flat tensor, as of a flattened optimizer."""
    flat = torch.cat([tensor.reshape(-1) for tensor in state.values() if tensor.is_floating_point()])
    views, at = {}, 0
    for name, tensor in state.items():
        views[name] = tensor
        if tensor.is_floating_point():
            views[name] = flat[at : at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()
    return views


def each(change):
    return lambda state: {name: change(tensor) for name, tensor in state.items()}


FORMS = {
    "published": each(lambda tensor: tensor),
    "half": each(half),
    "channels-last": each(channels_last),
    "transposed": each(transposed),
    "every-second": each(every_second),
    "parameters": each(parameter),
    "one-storage": of_one_storage,
}

for name, forms in {"mobilenet_v2": ["published"], "mobilenet_v3_small": list(FORMS)}.items():
    model = getattr(torchvision.models, name)()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(123_456)
    state = model.state_dict()
    save_file(state, folder / f"{name}.safetensors")
    for form in forms:
        changed = collections.OrderedDict(FORMS[form](state))
        changed._metadata = state._metadata
        for kind, zipped in ("zip", True), ("legacy", False):
            path = folder / f"{name}.{form}.{kind}.pth"
            torch.save(changed, path, _use_new_zipfile_serialization=zipped)
            assert b"cuda:0" in path.read_bytes()
            read = torch.load(path, map_location="cpu", weights_only=True)
            assert all(torch.equal(read[key], tensor) for key, tensor in changed.items())
        if form == "half":
            save_file({key: tensor.float() for key, tensor in changed.items()}, folder / f"{name}.half.safetensors")
