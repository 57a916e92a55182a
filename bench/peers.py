"""The libraries that ours is measured beside, and how each is called for a work."""

import itertools
import os
import pathlib
import shutil

from measure import Failed, measurement, run, scaled

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
EXAMPLES = ROOT / "target/release/examples"


class Peer:
    """A library. The fastest of its modes is paired with ours."""

    name = ""
    modes = ("",)
    # Most pairs and most seconds a process, for one that is very slow.
    most_pairs = None
    most_seconds = float("inf")

    def __init__(self, setup):
        self.setup = setup

    def missing(self):
        """Why it can't be measured here, if it can't."""

    def does(self, work):
        return True

    def winners(self, probed):
        """The modes to pair, from the time that each took."""
        return [min(probed, key=probed.get)]

    def precision(self, mode):
        """What ours is to compute in beside this mode."""
        return "float32"

    def environment(self):
        return {}

    def arguments(self, work, mode):
        raise NotImplementedError

    def measure(self, work, mode, steps):
        numbers = [str(work.batch), str(self.setup.threads), str(steps)]
        command, rest = self.arguments(work, mode)
        command = [*command, work.kind, work.network, *numbers, *rest]
        return measurement(command, min(self.setup.timeout, self.most_seconds), self.environment())


class Ours(Peer):
    name = "ours"

    def arguments(self, work, mode):
        return [str(EXAMPLES / "step")], [mode]


class PyTorch(Peer):
    name = "PyTorch"
    modes = tuple(
        map("/".join, itertools.product(("eager", "compile"), ("nchw", "channels_last"), ("float32", "bfloat16")))
    )

    def missing(self):
        return reason(self.setup.python, "-c", "import torch") and f"{self.setup.python} has no torch"

    def winners(self, probed):
        # The fastest in each precision, beside ours in the same.
        groups = [[mode for mode in probed if self.precision(mode) == some] for some in ("float32", "bfloat16")]
        return [min(modes, key=probed.get) for modes in groups if modes]

    def precision(self, mode):
        return mode.rpartition("/")[2]

    def environment(self):
        # Compiled code is kept from one process to the next, and goes with the run.
        return {"TORCHINDUCTOR_CACHE_DIR": str(self.setup.folder / "inductor")}

    def arguments(self, work, mode):
        return [self.setup.python, str(BENCH / "pytorch_step.py")], [mode]


class NodePeer(Peer):
    program = ""
    package = ""

    def missing(self):
        if shutil.which("node") is None:
            return "there is no node"
        found = (BENCH / "node_modules" / self.package / "package.json").exists()
        return None if found else f"bench/node_modules has no {self.package}: npm ci --ignore-scripts in bench"

    def arguments(self, work, mode):
        return ["node", str(BENCH / self.program)], [mode]


class OnnxRuntime(NodePeer):
    name = "ONNX Runtime"
    program, package = "onnxruntime_step.mjs", "onnxruntime-node"
    modes = ("threads", "default")

    def missing(self):
        no_export = reason(self.setup.python, "-c", "import torch, onnx, onnxscript")
        return super().missing() or (no_export and f"{self.setup.python} lacks one of torch, onnx, onnxscript")

    def does(self, work):
        return work.kind == "evaluate"

    def arguments(self, work, mode):
        file = self.setup.folder / f"{work.key}.onnx"
        if not file.exists():
            export = [self.setup.python, str(BENCH / "pytorch_onnx.py"), work.network, str(work.batch), str(file)]
            self.setup.note_versions(measurement(export, self.setup.timeout))
        command, rest = super().arguments(work, mode)
        return command, [*rest, str(file)]


class TensorFlowJs(NodePeer):
    name = "TensorFlow.js"
    program, package = "tfjs_step.mjs", "@tensorflow/tfjs-backend-wasm"
    modes = ("wasm", "cpu")

    def __init__(self, setup):
        super().__init__(setup)
        self.most_pairs = 1 if setup.quick else 2
        self.most_seconds = 60 if setup.quick else 240

    def does(self, work):
        return work.network == "cifar"


class OursInNode(NodePeer):
    """This package's own interface for Node, in a Node process as ONNX Runtime's is."""

    name = "ours through Node"
    program = "ours_step.mjs"
    modes = ("forward",)

    def missing(self):
        return package_missing()

    def does(self, work):
        return work.kind == "evaluate"

    def environment(self):
        return {"RAYON_NUM_THREADS": str(self.setup.threads)}


class PlainCandle(Peer):
    name = "candle's own operations"
    most_pairs = 1

    def missing(self):
        return None if (EXAMPLES / "stock_candle").exists() else "the example stock_candle is not built"

    def does(self, work):
        return work.kind == "train" and work.variant == "v1"

    def measure(self, work, mode, steps):
        # Minutes a step: one step, and in a quick run one of fewer pictures.
        batch = 2 if self.setup.quick else work.batch
        command = [str(EXAMPLES / "stock_candle"), work.kind, work.network, str(batch), str(self.setup.threads), "1"]
        result = scaled(measurement(command, self.setup.timeout), work.batch / batch)
        note = f"{batch} of the {work.batch} pictures, times {work.batch // batch}" if batch < work.batch else None
        return {**result, "note": note}


PEERS = [PyTorch, OnnxRuntime, OursInNode, TensorFlowJs, PlainCandle]


def reason(*command):
    """Why a command fails, if it does."""
    try:
        run(command, timeout=120)
    except Failed as failed:
        return str(failed)
    return None


def package_missing():
    """Why this package can't be used in Node, if it can't."""
    if not (ROOT / "dist/index.js").exists():
        return "dist is not built: npm run build:ts"
    failure = reason("node", "-e", f"require({str(ROOT / 'dist/index.js')!r}).devices()")
    wanted = os.environ.get("MOBILENET_NATIVE_LIBRARY_PATH")
    where = "MOBILENET_NATIVE_LIBRARY_PATH's" if wanted else "npm run build:native, or MOBILENET_NATIVE_LIBRARY_PATH"
    return failure and f"the native library can't be loaded ({where}): {failure}"
