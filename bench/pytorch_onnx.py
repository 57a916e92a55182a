#!/usr/bin/env python3
"""Writes PyTorch's network as an ONNX file, for ONNX Runtime.

    pip install torch onnx onnxscript
    python bench/pytorch_onnx.py unpadded|cifar|imagenet BATCH FILE

Prints the versions as a line of JSON.
"""

import json
import sys

import onnx
import torch

from pytorch_network import network, resolution


def main():
    name, batch, path = sys.argv[1:]
    torch.manual_seed(0)
    side = resolution(name)
    picture = torch.randn(int(batch), 3, side, side)
    torch.onnx.export(network(name).eval(), (picture,), path, external_data=False, verbose=False)
    opset = onnx.load(path).opset_import[0].version
    print(json.dumps({"versions": {"onnx": onnx.__version__, "ONNX opset": opset}}))


if __name__ == "__main__":
    main()
