"""Out of Loom and back: files of other engines, against a copy of as many bytes and today's way in Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import paths
from contest import BIN, HERE, Contest, Contestant, Pace, Program, Trouble, environment, say
from planetbridging import stream
from results import Row, Table

EXPORT, IMPORT = BIN / "loom-export", BIN / "loom-import"
RNG = np.random.default_rng(20260101)
CAT, COPY = "cat", "cat, until it is on the disk"
INSIDE, WHOLE = "Python, within the process", "Python, the whole process"


@dataclass
class Way:
    """A format; `model` is the .entity that leaves, `state` its weights as Python has them at first."""

    name: str
    options: list
    model: Path
    made: Path
    state: Path
    save: str
    load: str
    copy: float | None = 0.5
    faster: float | None = None


# ---- networks ----

def put_safetensors(path: Path, tensors: dict, half: bool) -> None:
    """`tensors` are shapes: each is drawn when its turn comes."""
    head, at = {}, 0
    for name, shape in tensors.items():
        size = (2 if half else 4) * int(np.prod(shape))
        head[name] = {"dtype": "F16" if half else "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for shape in tensors.values():
            drawn = RNG.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))
            out.write(drawn.astype(np.float16) if half else drawn)


def llama(config: dict) -> dict:
    """The shapes of a decoder's tensors, by the names that transformers has for them."""
    d, f, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kept = d // config["num_attention_heads"] * config["num_key_value_heads"]
    made = {"model.embed_tokens.weight": (vocab, d)}
    for i in range(config["num_hidden_layers"]):
        layer = {"input_layernorm": (d,), "self_attn.q_proj": (d, d), "self_attn.k_proj": (kept, d),
                 "self_attn.v_proj": (kept, d), "self_attn.o_proj": (d, d),
                 "post_attention_layernorm": (d,), "mlp.gate_proj": (f, d), "mlp.up_proj": (f, d),
                 "mlp.down_proj": (d, f)}
        made |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return made | {"model.norm.weight": (d,), "lm_head.weight": (vocab, d)}


def letters() -> list[str]:
    """A character for each byte, as byte-level tokenizers have them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(byte if byte in plain else next(other)) for byte in range(256)]


def tokenizer(folder: Path) -> None:
    vocab = {letter: i for i, letter in enumerate(letters())} | {"th": 256, "the": 257}
    folder.joinpath("tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": 258 + i, "content": text, "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True}
                         for i, text in enumerate(("<s>", "</s>"))],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                          "use_regex": True},
        "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": True,
                                            "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": vocab | {"<s>": 258, "</s>": 259}, "merges": ["t h", "th e"]}}))
    folder.joinpath("tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}))


def decoder(made: Path, quick: bool, half: bool = False) -> Path:
    """A directory as Hugging Face has them, of random weights."""
    made.mkdir()
    d, layers = (64, 2) if quick else (1024, 8)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": d,
              "intermediate_size": 3 * d, "num_hidden_layers": layers, "num_attention_heads": d // 32,
              "num_key_value_heads": d // 64, "head_dim": 32, "vocab_size": 260, "hidden_act": "silu",
              "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
              "bos_token_id": 258, "eos_token_id": 259, "torch_dtype": "float16" if half else "float32"}
    made.joinpath("config.json").write_text(json.dumps(config))
    tokenizer(made)
    put_safetensors(made / "model.safetensors", llama(config), half)
    return made


def ours(*command) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode != 0:
        raise Trouble(done.stderr.decode(errors="replace").strip())


def stack(folder: Path, quick: bool) -> tuple[Path, Path]:
    """Dense layers: a checkpoint, and its weights as safetensors."""
    lines, model, state = folder / "net.stream", folder / "net.entity", folder / "net.safetensors"
    with lines.open("wb") as out:
        stream.write(paths.chain(*((2, 16) if quick else (32, 2048)), paths.drawn), out)
    Program([paths.STREAM], given=lines, made=model).run()
    lines.unlink()
    ours(EXPORT, "-f", "safetensors", "-o", state, model)
    return model, state


def ways(folder: Path, quick: bool) -> list[Way]:
    model, state = stack(folder, quick)
    there, half = decoder(folder / "llama", quick), decoder(folder / "half", quick, half=True)
    speaker, words = folder / "llama.entity", there / "model.safetensors"
    whisperer, soft = folder / "half.entity", half / "model.safetensors"
    ours(IMPORT, "-o", speaker, there)
    ours(IMPORT, "-o", whisperer, half)
    cut = ["-T", there]
    return [
        Way("safetensors", ["-f", "safetensors"], model, folder / "out.safetensors", state,
            "safetensors_save", "safetensors_load"),
        Way("npz", ["-f", "npz"], model, folder / "out.npz", state, "npz_save", "npz_load", None),
        Way("onnx", ["-f", "onnx"], model, folder / "out.onnx", state, "onnx_save", "onnx_load",
            None, 10),
        Way("gguf, F32", ["-f", "gguf", *cut], speaker, folder / "out.gguf", words, "gguf_save",
            "gguf_load"),
        Way("gguf, F16", ["-f", "gguf", *cut], whisperer, folder / "half.gguf", soft, "gguf_save", "gguf_load"),
        Way("gguf, F32 to F16", ["-f", "gguf", "-d", "f16", *cut], speaker, folder / "cut.gguf", words,
            "gguf_save_half", "gguf_load", None),
        Way("huggingface", ["-f", "huggingface", *cut], speaker, folder / "out", there,
            "huggingface_save", "huggingface_load", None),
    ]


# ---- contests ----

class Fresh(Program):
    """A program whose output is not there before, on a disk that is at rest."""

    quiet = True

    def __init__(self, command: list, output: Path, **more):
        super().__init__(command, **more)
        self.output = output

    def run(self, seconds: float = 0) -> tuple[float, float]:
        remove(self.output)
        os.sync()
        return super().run(seconds)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def python(way: str, given: Path, made: Path, *once) -> list:
    return [sys.executable, "-W", "ignore", HERE / "leaving.py", way, given, made, *once]


def size_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())


def enter(contest: Contest, way: str, start: Path, out: Path, quick: bool) -> None:
    """Python's; frameworks take seconds to begin, which nobody waits for in a trial."""
    contest.enter(INSIDE, lambda: Contestant(python(way, start, out), environment()))
    if not quick:
        contest.enter(WHOLE, lambda: Fresh(python(way, start, out, "once"), out))


def run(contest: Contest, pace: Pace) -> dict:
    found = contest.run(pace)
    for name, one in contest.there.items():
        found[name].peak = one.peak()
    contest.close()
    return found


def row(case: str, command: list, given: Path, made: Path, python_way: tuple, way: Way, pace: Pace,
        faster: float | None = None) -> Row:
    """From `given` to `made`; `python_way` is one of leaving.py's and what it starts from."""
    say(case)
    contest, copy, theirs = Contest(), made.parent / "copy", made.parent / f"theirs{made.suffix}"
    whole = given / "model.safetensors" if given.is_dir() else given
    name = Path(command[0]).name
    contest.enter(CAT, lambda: Fresh([paths.tool("cat")], copy, given=whole, made=copy))
    contest.enter(COPY, lambda: Fresh([paths.tool("sh"), "-c", 'cat "$0" >"$1" && sync "$1"', whole, copy],
                                      copy))
    enter(contest, *python_way, theirs, pace.quick)
    contest.enter(name, lambda: Fresh(command, made))
    result = Row(case, size_of(whole) / 1e9, "GB/s", run(contest, pace), "wall")
    for other, target in ((CAT, None), (COPY, way.copy), (INSIDE, faster), (WHOLE, None)):
        if other not in result.contestants:
            continue
        result.against(name, other, target)
    remove(copy)
    remove(theirs)
    return result


def rows(way: Way, folder: Path, pace: Pace) -> list[Row]:
    back = folder / "back.entity"
    made = [row(f"export, {way.name}", [EXPORT, "-j", "2", *way.options, "-o", way.made, way.model], way.model,
                way.made, (way.save, way.state), way, pace, way.faster),
            row(f"import, {way.name}", [IMPORT, "-o", back, way.made], way.made, back, (way.load, way.made),
                way, pace)]
    remove(back)
    remove(way.made)
    return made


def bench(name: str, folder: Path, pace: Pace) -> Table:
    table = Table(name, "Files of other engines: export (-j 2) and import, from file to file on the wall clock, "
                  "and the most memory that the process had; ours ends when the file is on the disk, and an "
                  "export then has read it back, compared it and run it")
    for way in ways(folder, pace.quick):
        table.rows += rows(way, folder, pace)
    table.goal_of_rows()
    return table
