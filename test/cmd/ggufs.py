#!/usr/bin/env python3
"""GGUF files and tokenizers for gguf.bats, and a reader of its own, in terms of the format's description alone.

ggufs.py make FAMILY FILE         a random decoder: llama, biased, factors, qwen2, qwen3
ggufs.py tokenizer KIND FOLDER    tokenizer.json, tokenizer_config.json and config.json
ggufs.py show FILE                a line for each key and each tensor
ggufs.py change FILE KEY VALUE    another number, or text as long
ggufs.py flip FILE TENSOR         the lowest bit of a tensor's first value
ggufs.py split FILE STEM          the same in two files STEM-0000N-of-00002.gguf
"""
import hashlib
import json
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures", "hostile"))
import make_gguf as g

FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
SIZES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 24: (1, 1),
         27: (1, 8), 30: (1, 2)}


# ---- reading ----

class Reader:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at, self.keys, self.tensors = 8, {}, {}
        n_tensors, n_keys = self.number("<Q"), self.number("<Q")
        for _ in range(n_keys):
            name, kind = self.text(), self.number("<I")
            self.keys[name] = (kind, self.at, self.value(kind))
        for _ in range(n_tensors):
            name = self.text()
            dims = [self.number("<Q") for _ in range(self.number("<I"))]
            self.tensors[name] = [dims, self.number("<I"), self.number("<Q")]
        self.start = (self.at + 31) // 32 * 32

    def number(self, form):
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        n = self.number("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == g.STRING:
            return self.text()
        if kind != g.ARRAY:
            return self.number(FORMATS[kind])
        of, n = self.number("<I"), self.number("<Q")
        return [self.value(of) for _ in range(n)]

    def bytes_of(self, name):
        dims, kind, offset = self.tensors[name]
        values, size = SIZES[kind]
        count = 1
        for d in dims:
            count *= d
        return self.data[self.start + offset:self.start + offset + count // values * size]


def show(path):
    r = Reader(path)
    for name, (kind, _, value) in r.keys.items():
        print(name, kind, json.dumps(value))
    for name, (dims, kind, offset) in r.tensors.items():
        print(name, dims, kind, offset, hashlib.sha256(r.bytes_of(name)).hexdigest()[:16])


def change(path, name, value):
    r = Reader(path)
    kind, at, old = r.keys[name]
    if kind == g.STRING:
        new = value.encode()
        assert len(new) == len(old.encode())
        at += 8
    else:
        new = struct.pack(FORMATS[kind], float(value) if kind in (6, 12) else int(value))
    patch(path, r.data, at, new)


def flip(path, name):
    r = Reader(path)
    at = r.start + r.tensors[name][2]
    patch(path, r.data, at, bytes([r.data[at] ^ 1]))


def patch(path, data, at, new):
    with open(path, "wb") as out:
        out.write(data[:at] + new + data[at + len(new):])


# ---- writing ----

WIDTH, HEADS, KEYS, HEAD, HIDDEN, VOCAB, BLOCKS = 64, 4, 2, 16, 96, 40, 2


def shapes(family):
    yield "token_embd.weight", [WIDTH, VOCAB]
    yield "output_norm.weight", [WIDTH]
    if family in ("llama", "qwen2"):
        yield "output.weight", [WIDTH, VOCAB]
    if family == "factors":
        yield "rope_freqs.weight", [HEAD // 2]
    biases = {"biased": ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"],
              "qwen2": ["attn_q", "attn_k", "attn_v"]}.get(family, [])
    matrices = {"attn_q": [WIDTH, HEADS * HEAD], "attn_k": [WIDTH, KEYS * HEAD], "attn_v": [WIDTH, KEYS * HEAD],
                "attn_output": [HEADS * HEAD, WIDTH], "ffn_gate": [WIDTH, HIDDEN], "ffn_up": [WIDTH, HIDDEN],
                "ffn_down": [HIDDEN, WIDTH]}
    for i in range(BLOCKS):
        yield f"blk.{i}.attn_norm.weight", [WIDTH]
        yield f"blk.{i}.ffn_norm.weight", [WIDTH]
        if family == "qwen3":
            yield f"blk.{i}.attn_q_norm.weight", [HEAD]
            yield f"blk.{i}.attn_k_norm.weight", [HEAD]
        for name, dims in matrices.items():
            yield f"blk.{i}.{name}.weight", dims
            if name in biases:
                yield f"blk.{i}.{name}.bias", dims[1:]


def numbers(family):
    a = family if family.startswith("qwen") else "llama"
    whole = {"block_count": BLOCKS, "context_length": 64, "embedding_length": WIDTH, "feed_forward_length": HIDDEN,
             "attention.head_count": HEADS, "attention.head_count_kv": KEYS, "attention.key_length": HEAD,
             "attention.value_length": HEAD, "rope.dimension_count": HEAD}
    real = {"attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 5000.0}
    return [g.architecture(a), *(g.key(f"{a}.{k}", g.U32, g.u32(v)) for k, v in whole.items()),
            *(g.key(f"{a}.{k}", g.F32, struct.pack("<f", v)) for k, v in real.items())]


def drawn(family):
    """Descriptions of tensors, and their values in [-1, 1); factors and gammas around 1."""
    draw = random.Random(family)
    out = []
    for name, dims in shapes(family):
        count = 1
        for d in dims:
            count *= d
        base = 1.5 if "norm" in name or "freqs" in name else 0
        out.append((name, dims, struct.pack(f"<{count}f", *(base + draw.uniform(-1, 1) / 2 for _ in range(count)))))
    return out


def assembled(keys, tensors):
    described, data = [], b""
    for name, dims, values in tensors:
        described.append(g.tensor(name, dims, 0, len(data)))
        data += values + bytes(-len(values) % 32)
    return g.file(keys, described, data)


def make(family, path):
    with open(path, "wb") as out:
        out.write(assembled(numbers(family), drawn(family)))


def split(path, stem):
    """The second file has what describes it alone."""
    family = os.path.basename(path).split(".")[0]
    tensors = drawn(family)
    parts = [tensors[:5], tensors[5:]]
    for i, part in enumerate(parts):
        keys = [g.key("split.no", g.U16, struct.pack("<H", i)), g.key("split.count", g.U16, struct.pack("<H", 2)),
                g.key("split.tensors.count", g.I32, struct.pack("<i", len(tensors)))]
        with open(f"{stem}-{i + 1:05}-of-00002.gguf", "wb") as out:
            out.write(assembled((numbers(family) if i == 0 else []) + keys, part))


# ---- tokenizers ----

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
LATER = BYTES | {"use_regex": False}


def cut(regex):
    first = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [first, LATER]}


CUTS = {"gpt-2": BYTES, "llama-bpe": cut(WORDS + r"\p{N}{1,3}" + REST), "qwen2": cut(WORDS + r"\p{N}" + REST),
        "smollm": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]}}


def tokenizer(kind, folder):
    vocab = {c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")} | {"th": 26, "the": 27}
    root = {"version": "1.0", "normalizer": None, "pre_tokenizer": CUTS.get(kind, BYTES), "post_processor": None,
            "added_tokens": [{"id": 30, "content": "<s>", "special": True}, {"id": 31, "content": "</s>", "special": True},
                             {"id": 32, "content": "<tool>", "special": False}],
            "model": {"type": "BPE", "byte_fallback": False, "vocab": vocab, "merges": ["t h", ["th", "e"]]}}
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ messages }}"}
    model = {"max_position_embeddings": 64, "pad_token_id": 31}
    changes = {
        "sentencepiece": lambda: root["model"].update(type="Unigram"),
        "fallback": lambda: root["model"].update(byte_fallback=True),
        "lower": lambda: root.update(normalizer={"type": "Lowercase"}),
        "spaces": lambda: root.update(pre_tokenizer=BYTES | {"add_prefix_space": True}),
        "other-regex": lambda: root.update(pre_tokenizer=cut(r"\w+")),
        "too-many": lambda: vocab.update({"zz": VOCAB}),
        "twice": lambda: vocab.update({"zz": 3}),
        "two-ids": lambda: root["added_tokens"].append({"id": 33, "content": "a"}),
        "no-merges": lambda: root["model"].pop("merges"),
        "bad-merge": lambda: root["model"]["merges"].append(["a b", "c"]),
        "unknown-bos": lambda: config.update(bos_token="<begin>"),
        "begins": lambda: root.update(post_processor={"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]}),
        "no-begin": lambda: config.update(add_bos_token=False),
        "no-context": model.clear,
        "letters": lambda: [vocab.pop("th"), vocab.pop("the"), root["added_tokens"].clear(),
                            root["model"]["merges"].clear(), config.clear(), model.clear()],
    }
    changes.get(kind, lambda: None)()
    os.makedirs(folder, exist_ok=True)
    for name, value in (("tokenizer", root), ("tokenizer_config", config), ("config", model)):
        with open(os.path.join(folder, name + ".json"), "w") as out:
            json.dump(value, out)


def forget(path):
    """A checkpoint without what is known beside its network."""
    with open(path, "rb") as file:
        whole = file.read()
    size = struct.unpack_from("<Q", whole, 12)[0]
    header = json.loads(whole[20:20 + size])
    del header["bridge"]["info"]["decoder"]
    header = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    with open(path, "wb") as out:
        out.write(whole[:12] + struct.pack("<Q", len(header)) + header + whole[20 + size:])


if __name__ == "__main__":
    {"make": make, "tokenizer": tokenizer, "show": show, "change": change, "flip": flip, "split": split,
     "forget": forget}[sys.argv[1]](*sys.argv[2:])
