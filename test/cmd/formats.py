"""Tries every line of formats.tsv: formats.py TABLE; prints what is not so and exits 1.

The network "any" is a stack of dense layers with relu, "decoder" a llama of random weights in a Hugging
Face directory.  exact: what is read from the result computes the same bits as what is read from the
original, and has the same weights in the same order; lossy: it has not, and loom-export said so for each
tensor that it changed; refused: status 3.
"""
import json
import os
import subprocess
import sys

import numpy as np
from safetensors.numpy import save_file

WIDTH, LAYERS, HEADS, GROUPS, HIDDEN, VOCABULARY = 64, 2, 4, 2, 96, 288
FILES = {"huggingface": "hf"}


def run(*words, **options):
    return subprocess.run(words, capture_output=True, check=False, **options)


def good(*words):
    done = run(*words)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: status {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def letters():
    """The characters by which byte-level tokenizers spell the 256 bytes (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    return [chr(b) for b in plain] + [chr(256 + n) for n, _ in enumerate(others)]


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out)


def decoder(place):
    """A directory as transformers saves one, with a tokenizer of bytes."""
    draw = np.random.default_rng(7)
    head = WIDTH // HEADS
    shapes = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "model.norm.weight": (WIDTH,),
              "lm_head.weight": (VOCABULARY, WIDTH)}
    for n in range(LAYERS):
        rows = {"input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,),
                "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (GROUPS * head, WIDTH),
                "self_attn.v_proj": (GROUPS * head, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH),
                "mlp.gate_proj": (HIDDEN, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH), "mlp.down_proj": (WIDTH, HIDDEN)}
        shapes |= {f"model.layers.{n}.{name}.weight": shape for name, shape in rows.items()}
    os.makedirs(place)
    save_file({name: draw.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()},
              os.path.join(place, "model.safetensors"), metadata={"format": "pt"})
    write_json(os.path.join(place, "config.json"), {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS, "vocab_size": VOCABULARY, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False,
        "torch_dtype": "float32"})
    vocabulary = {letter: n for n, letter in enumerate(letters())}
    write_json(os.path.join(place, "tokenizer.json"), {
        "version": "1.0", "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": False}})


def placed(stream):
    """The stream, each of its weights being a whole array of a state dict."""
    head, rest = stream.split(b"\n", 1)
    lines = [head]
    for _ in range(json.loads(head)["nodes"]):
        line, rest = rest.split(b"\n", 1)
        node = json.loads(line)
        for t in node["tensors"]:
            strides = [int(np.prod(t["shape"][axis + 1:])) for axis in range(len(t["shape"]))]
            t |= {"source": f"{node['name']}.{t['slot']}",
                  "layout": {"shape": t["shape"], "first": 0, "strides": strides}}
        lines.append(json.dumps(node).encode())
    return b"\n".join([*lines, rest])


def dense(path):
    """Three layers of random weights, by way of a layer stream."""
    draw = np.random.default_rng(3)
    words = [{"w": draw.normal(0, 0.4, shape).round(6).tolist(), "b": draw.normal(0, 0.4, shape[0]).round(6).tolist(),
              "act": act} for shape, act in (((6, 4), "relu"), ((8, 6), "relu"), ((3, 8), "linear"))]
    here = os.path.dirname(os.path.abspath(__file__))
    made = subprocess.run([sys.executable, os.path.join(here, "net.py"), "stream", "-"],
                          input=json.dumps(words).encode(), capture_output=True, check=True)
    with open(path, "wb") as out:
        out.write(subprocess.run(["loom-stream"], input=placed(made.stdout), capture_output=True, check=True).stdout)


class Samples:
    """A file of each format for each network, made once."""

    def __init__(self):
        self.made = {}
        dense("any.entity")
        decoder("decoder.hf")
        good("loom-import", "-o", "decoder.entity", "decoder.hf")
        np.save("any.npy", np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4))
        np.save("decoder.npy", np.array([[1, 5, 200, 7, 7]], np.int64))

    def file(self, network, form):
        path = f"{network}.{FILES.get(form, form)}"
        if not os.path.exists(path):
            good("loom-export", "-f", form, *tokenizer(network, form), "-o", path, f"{network}.entity")
        return path


def tokenizer(network, form):
    return ["-T", "decoder.hf"] if network == "decoder" and form in ("gguf", "huggingface") else []


def template(network, form):
    """What a file that holds weights alone is read with."""
    return ["-t", f"{network}.entity"] if form == "torch" else []


def facts(path, network, form):
    """The bits that a file's network computes, and the digests of its weights in their order."""
    good("loom-import", *template(network, form), "-o", "read.entity", path)
    hashes = good("loom-infer", "-H", "-m", "read.entity", f"{network}.npy").split()[0]
    dump = json.loads(good("entity-dump", "--json", "read.entity"))
    return hashes, [t.get("sha256") for node in dump["nodes"] for t in node.get("tensors", []) if "sha256" in t]


def verdict(samples, network, options, before, after, changed):
    source = samples.file(network, before)
    result = f"result.{after}"
    subprocess.run(["rm", "-rf", result], check=True)
    if after == "entity":
        done = run("loom-import", *template(network, before), "-o", result, source)
    else:
        done = run("loom-export", "-f", after, *options, *tokenizer(network, after), "-o", result, source)
    if done.returncode == 3:
        return "refused"
    if done.returncode != 0:
        return f"status {done.returncode}: {done.stderr.decode()}"
    if facts(result, network, after) == facts(source, network, before):
        return "exact"
    changed.extend(line for line in done.stderr.decode().splitlines() if "values change" in line)
    return "lossy" if changed else "lossy, but nothing was said"


def main(table):
    samples, bad = Samples(), 0
    with open(table, encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
    for what, before, after, expected, _ in rows:
        network, *options = what.replace(",", "").split()
        found = verdict(samples, network, options, before, after, [])
        if found != expected:
            print(f"{what}: from {before} to {after}: expected {expected}, found {found}")
            bad = 1
    print(f"{len(rows)} cells")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
