"""How near a network's answers for photographs are to those of torchvision and PyTorch.

    python bench/photographs.py photographs
    python bench/pictures.py photographs [--weights mobilenet_v2.pth] [--network mobilenet_v2] [--json FILE]

Needs pillow, torch, torchvision and safetensors, `npm run build` done, and cargo. Each picture goes three ways through the
same network: by torchvision's transform for evaluation (of PIL's picture, turned by EXIF) and PyTorch, in float32 and in
float64; by this package from the file; and by this package from a PNG of the pixels that PIL decoded, which leaves the
decoders' differences out. What is compared are the bytes that the transform gives, in levels of 255, and the logits: their
distance from PyTorch's float64 as a share of the largest logit.

Without `--weights` the network has random ones, with the batch norm's statistics of these very pictures. Such a network
answers to the smallest change; so PyTorch is also asked about the same pixels, each at random a level up, down or as it is.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

import numpy
import torch
import torchvision
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torchvision import transforms

ROOT = pathlib.Path(__file__).parent.parent
ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
RESIZE, CROP = 256, 224
fit = transforms.Compose([transforms.Resize(RESIZE), transforms.CenterCrop(CROP)])
to_network = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
)


def files_of(names):
    for name in map(pathlib.Path, names):
        inside = sorted(path for path in name.rglob("*") if path.suffix.lower() in ENDINGS)
        yield from inside if name.is_dir() else [name]


def opened(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def network_of(name, weights, inputs):
    torch.manual_seed(1)
    model = torchvision.models.get_model(name, num_classes=1000)
    if weights:
        model.load_state_dict(torch.load(weights, weights_only=True))
        return model.eval()
    # Statistics as after training; without them a random network's answers hardly depend on the picture.
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        for batch in inputs.split(16):
            model.train()(batch)
    return model.eval()


def ours(arguments):
    command = ["node", ROOT / "bin" / "mobilenet-native.js", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fitted(program, files, folder):
    """The bytes `[N, CROP, CROP, 3]` that this package's transform gives."""
    out = folder / "fitted.bin"
    cargo = ["cargo", "run", "--quiet", "--release", "-p", "mobilenet-core", "--example", "fitted", "--"]
    subprocess.run([*([program] if program else cargo), str(RESIZE), str(CROP), out, *files], check=True, cwd=ROOT)
    return numpy.fromfile(out, dtype=numpy.uint8).reshape(len(files), CROP, CROP, 3).astype(int)


def answers(checkpoint, files):
    lines = ours(["predict", checkpoint, *files, "--json"]).splitlines()
    return [torch.tensor(json.loads(line)["logits"], dtype=torch.float64) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--fitted", help="the built example fitted; default: cargo builds it")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(2)
    files = [path.resolve() for path in files_of(options.pictures)]
    pictures = [opened(path) for path in files]
    cut = [fit(picture) for picture in pictures]
    inputs = torch.stack([to_network(picture) for picture in cut])
    model = network_of(options.network, options.weights, inputs)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        folder = pathlib.Path(folder)
        save_file(model.state_dict(), folder / "weights.safetensors")
        ours(["import", folder / "weights.safetensors", "--out", folder / "checkpoint.safetensors"])
        copies = [folder / f"{index}.png" for index in range(len(files))]
        for picture, copy in zip(pictures, copies):
            picture.save(copy, compress_level=1)
        theirs = numpy.stack([numpy.asarray(picture) for picture in cut]).astype(int)
        of_files, of_copies = [abs(fitted(options.fitted, list_, folder) - theirs) for list_ in (files, copies)]
        from_files = answers(folder / "checkpoint.safetensors", files)
        from_copies = answers(folder / "checkpoint.safetensors", copies)
        float32 = torch.cat([model(batch) for batch in inputs.split(8)]).double()
        model.double()
        float64 = torch.cat([model(batch.double()) for batch in inputs.split(8)])
        random = numpy.random.default_rng(1)
        moved = [numpy.clip(cut + random.integers(-1, 2, cut.shape), 0, 255).astype(numpy.uint8) for cut in theirs]
        moved = torch.stack([to_network(Image.fromarray(picture)) for picture in moved])
        of_moved = torch.cat([model(batch.double()) for batch in moved.split(8)])
    rows = []
    for place, path in enumerate(files):
        size = float64[place].abs().max()
        distance = lambda logits: float((logits - float64[place]).abs().max() / size)
        rows.append(
            {
                "file": path.name,
                "pixels": "x".join(map(str, pictures[place].size)),
                "copy_levels": int(of_copies[place].max()),
                "levels": int(of_files[place].max()),
                "mean_levels": float(of_files[place].mean()),
                "pytorch": distance(float32[place]),
                "moved": distance(of_moved[place]),
                "copy": distance(from_copies[place]),
                "ours": distance(from_files[place]),
                "same_class": bool(from_files[place].argmax() == float64[place].argmax()),
            }
        )
        shown = " ".join(f"{rows[-1][key]:.1e}" for key in ("pytorch", "copy", "ours"))
        print(f"{shown}  {rows[-1]['levels']:3} {rows[-1]['mean_levels']:.3f}  {rows[-1]['pixels']:>10}  {path.name}{'' if rows[-1]['same_class'] else '  OTHER CLASS'}")
    same = sum(row["same_class"] for row in rows)
    print(f"\n{len(rows)} pictures, {same} with PyTorch's most probable class")
    exact = sum(row["copy_levels"] == 0 for row in rows)
    print(f"{exact} of them equal to torchvision's byte for byte after the transform, from PIL's pixels")
    print(f"{sum(row['levels'] == 0 for row in rows)} also from the file; of the others the largest difference is")
    print(f"  {max(row['levels'] for row in rows)} of 255 levels, {max(row['mean_levels'] for row in rows):.3f} on average")
    for key, what in [
        ("pytorch", "PyTorch in float32"),
        ("copy", "ours, PIL's pixels"),
        ("ours", "ours, from the file"),
        ("moved", "PyTorch, a level off"),
    ]:
        values = [row[key] for row in rows]
        print(f"{what:20} median {statistics.median(values):.1e}, most {max(values):.1e}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
