"""Times JPEG files to labels by PIL and PyTorch.

python bench/files_pytorch.py WEIGHTS FILES.json ROUNDS THREADS NETWORK WORKERS
"""

import json
import pathlib
import resource
import sys
import time

import torch
import torchvision
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

weights, listing, rounds, threads, network, workers = sys.argv[1:]
transform = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


class Files(Dataset):
    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, place):
        return transform(ImageOps.exif_transpose(Image.open(self.files[place])).convert("RGB"))


def main():
    torch.set_num_threads(int(threads))
    model = torchvision.models.get_model(network, num_classes=1000)
    model.load_state_dict(load_file(weights))
    model = model.eval().to(memory_format=torch.channels_last)
    files = json.loads(pathlib.Path(listing).read_text())
    loader = DataLoader(Files(files), batch_size=32, num_workers=int(workers), persistent_workers=int(workers) > 0)
    seconds = []
    with torch.inference_mode():
        for _ in range(int(rounds)):
            start = time.perf_counter()
            labels = [model(batch.to(memory_format=torch.channels_last)).argmax(1) for batch in loader]
            assert sum(map(len, labels)) == len(files)
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds[1:], "peak_bytes": peak, "threads": int(threads)}))


if __name__ == "__main__":
    main()
