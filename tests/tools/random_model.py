#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small models with random weights, one of each family and form that ayni runs.

    random_model.py --list                                   names of the variants, one a line
    random_model.py VARIANT OUT.gguf [--type F32] [--seed 1] [--tiny]

What such a model says is noise, but every token of it depends on all before it and on every tensor.
Sizes are tiny and uneven, windows and original contexts shorter than a test's prompt. The vocabulary
is the 256 bytes in GPT-2's spelling and three control tokens. Exit status 77: numpy is missing.
"""

import argparse
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(77)

from gguf_write import I32, STRING, GGUFWriter

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)

# What all have, unless a variant says otherwise. Keys of the file without the family's name.
COMMON = {
    "block_count": 3,
    "context_length": 512,
    "embedding_length": 64,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 10000.0,
}
YARN = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 8.0,
    "rope.scaling.original_context_length": 16,
}
MOE = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 32}
LATENT = {
    "attention.kv_lora_rank": 32,
    "attention.head_count_kv": 4,
    "attention.key_length": 48,
    "attention.value_length": 32,
    "rope.dimension_count": 16,
}
SPLIT = {  # newer files: the cache's widths, and a head's apart
    "attention.head_count_kv": 1,
    "attention.key_length": 32 + 16,
    "attention.value_length": 32,
    "attention.key_length_mla": 48,
    "attention.value_length_mla": 64,
}
V3 = {
    "leading_dense_block_count": 1,
    "expert_count": 16,
    "expert_used_count": 4,
    "expert_feed_forward_length": 32,
    "expert_shared_count": 1,
    "expert_gating_func": 2,
    "expert_weights_norm": True,
    "expert_weights_scale": 2.5,
    "expert_group_count": 4,
    "expert_group_used_count": 2,
    "rope.scaling.yarn_log_multiplier": 0.1,
}

# Where a variant is "mixed", its matrices take turns in these: large blocks where rows allow them.
LARGE = ["Q4_K", "Q6_K", "Q5_K", "Q3_K", "Q2_K", "IQ4_XS", "Q8_0", "IQ4_NL"]
SMALL = ["Q5_0", "Q4_1", "MXFP4", "Q5_1", "Q4_0"]

# name: (family, keys, what the tensors have beside the usual)
VARIANTS = {
    "llama": ("llama", {}, ""),
    "llama-linear": ("llama", {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, ""),
    "llama-yarn": ("llama", {**YARN, "rope.scaling.attn_factor": 1.25}, ""),
    "llama-factors": ("llama", {"rope.freq_base": 500000.0}, "rope_freqs"),
    "llama-bias": ("llama", {"attention.scale": 0.2}, "bias out_bias"),
    "llama-window": ("llama", {"attention.sliding_window": 9}, "tied"),
    "llama-moe": ("llama", {"expert_count": 8, "expert_used_count": 2}, ""),
    "mistral3": ("mistral3", {
        **YARN,
        "rope.scaling.yarn_log_multiplier": 1.0,
        "rope.scaling.yarn_beta_fast": 8.0,
        "rope.scaling.yarn_beta_slow": 0.5,
        "attention.temperature_scale": 0.1,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "rope.dimension_count": 32,
    }, ""),
    "qwen2": ("qwen2", {}, "bias tied"),
    "qwen2-yarn": ("qwen2", YARN, "bias"),
    "qwen3": ("qwen3", {"attention.key_length": 32, "attention.value_length": 32}, "head_norms"),
    "qwen2moe": ("qwen2moe", {**MOE, "expert_shared_feed_forward_length": 64}, "bias shared gate"),
    "qwen3moe": ("qwen3moe", MOE, "head_norms"),
    "gemma2": ("gemma2", {
        "block_count": 4,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.sliding_window": 8,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    }, "post_norms tied"),
    "gemma3": ("gemma3", {
        "block_count": 7,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.sliding_window": 8,
        "rope.freq_base": 1000000.0,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": 8.0,
    }, "post_norms head_norms tied"),
    "phi3": ("phi3", {"attention.sliding_window": 20}, "fused"),
    "phi3-long": ("phi3", {
        "rope.dimension_count": 12,
        "rope.scaling.type": "longrope",
        "rope.scaling.original_context_length": 32,
        "rope.scaling.attn_factor": 1.19,
    }, "fused long_short"),
    "phi3-short": ("phi3", {
        "rope.scaling.type": "longrope",
        "rope.scaling.original_context_length": 512,
    }, "fused long_short tied"),
    "gpt-oss": ("gpt-oss", {
        **YARN,
        **MOE,
        "block_count": 4,
        "attention.sliding_window": 8,
        "attention.key_length": 32,
        "attention.value_length": 32,
    }, "bias out_bias sinks expert_bias"),
    "gpt-oss-mxfp4": ("gpt-oss", {
        **YARN,
        **MOE,
        "attention.sliding_window": 8,
        "attention.key_length": 32,
        "attention.value_length": 32,
    }, "bias out_bias sinks expert_bias mxfp4"),
    "llama-mixed": ("llama", {"embedding_length": 256, "feed_forward_length": 256}, "mixed"),
    "qwen3moe-mixed": ("qwen3moe", {
        **MOE, "expert_count": 4, "embedding_length": 256,
        "expert_feed_forward_length": 256,
    }, "head_norms mixed"),
    "deepseek2-lite": ("deepseek2", {
        **LATENT, **MOE, **YARN,
        "leading_dense_block_count": 1,
        "expert_shared_count": 2,
        "rope.scaling.yarn_log_multiplier": 0.0707,
    }, "shared"),
    "deepseek2": ("deepseek2", {
        **LATENT, **V3, **YARN,
        "attention.q_lora_rank": 64,
        "expert_gating_func": 1,
        "expert_weights_norm": False,
        "expert_weights_scale": 4.0,
        "rope.scaling.yarn_log_multiplier": 0.0707,
    }, "shared"),
    "deepseek2-split": ("deepseek2", {**LATENT, **SPLIT, **MOE, "expert_shared_count": 1}, "shared"),
    # Of whole parts of 32, so that its cache can be int8, and without experts.
    "deepseek2-dense": ("deepseek2", {
        **LATENT, **SPLIT, **YARN,
        "leading_dense_block_count": 3,
        "attention.head_count": 20,  # more than attention looks at together
        "attention.kv_lora_rank": 64,
        "rope.dimension_count": 32,
        "attention.key_length": 64 + 32,
        "attention.value_length": 64,
        "attention.key_length_mla": 64,
    }, ""),
    "deepseek-v3": ("deepseek2", {
        **LATENT, **SPLIT, **V3, **YARN, "attention.q_lora_rank": 64,
    }, "shared choice_bias"),
    # DeepSeek-V3's layers, experts, groups and the ratios of a head's widths; about 55 MB as Q4_0.
    "deepseek-v3-shape": ("deepseek2", {
        **LATENT, **SPLIT, **V3, **YARN,
        "block_count": 61,
        "leading_dense_block_count": 3,
        "attention.head_count": 8,
        "attention.q_lora_rank": 384,
        "attention.kv_lora_rank": 128,
        "attention.key_length": 128 + 16,
        "attention.value_length": 128,
        "attention.value_length_mla": 32,
        "expert_count": 256,
        "expert_used_count": 8,
        "expert_group_count": 8,
        "expert_group_used_count": 4,
    }, "shared choice_bias"),
}


# As small as can be, for a fuzzer to start from: what a variant has is what counts, not its sizes.
TINY = {
    "block_count": 2,
    "embedding_length": 32,
    "feed_forward_length": 32,
    "expert_count": 4,
    "expert_group_count": 2,
    "expert_group_used_count": 1,
    "expert_used_count": 2,
    "expert_shared_feed_forward_length": 32,
    "attention.q_lora_rank": 32,
}
TINY_TOKENS = 8


class Maker:
    def __init__(self, variant, kind, seed, tiny=False):
        self.family, keys, has = VARIANTS[variant]
        self.keys, self.has, self.tiny = {**COMMON, **keys}, has.split(), tiny
        if tiny:
            self.keys |= {k: v for k, v in TINY.items() if k in self.keys}
        self.kind, self.file, self.turn = kind, GGUFWriter(), 0
        self.random = np.random.Generator(np.random.PCG64([seed, *variant.encode()]))

    def key(self, name, default=0):
        return self.keys.get(name, default)

    # ---- tensors ----

    def tensor(self, name, shape, kind, centre, spread):
        values = centre + spread * self.random.uniform(-1, 1, shape)
        self.file.tensor(name, values.astype(np.float32), kind)

    def kind_of(self, name, row):
        if "mxfp4" in self.has:  # as published: the experts, and nothing else
            return "MXFP4" if name.endswith("_exps") else "BF16"
        if "mixed" not in self.has:
            return self.kind
        self.turn += 1
        mix = LARGE + SMALL if row % 256 == 0 else SMALL
        return mix[self.turn % len(mix)]

    def matrix(self, name, *shape):
        """Rows have a variance of 1 over their length, so that activations keep their size."""
        kind = self.kind_of(name, shape[-1])
        self.tensor(name + ".weight", shape, kind, 0.0, np.sqrt(3 / shape[-1]))

    def norm(self, name, n):
        self.tensor(name + ".weight", (n,), "F32", 1.0, 0.3)

    def small(self, name, *shape, spread=0.3):
        self.tensor(name, shape, "F32", 0.0, spread)

    def router(self, name, *shape):
        """Spread wide, so that no two experts are as good as each other."""
        self.tensor(name + ".weight", shape, "F32", 0.0, 4 * np.sqrt(3 / shape[-1]))

    # ---- a layer ----

    def attention(self, at):
        d, heads = self.key("embedding_length"), self.key("attention.head_count")
        kv_heads = self.key("attention.head_count_kv")
        d_head = self.key("attention.key_length", d // heads)
        d_value = self.key("attention.value_length", d // heads)
        widths = {"q": heads * d_head, "k": kv_heads * d_head, "v": kv_heads * d_value}
        if "fused" in self.has:
            self.matrix(at + "attn_qkv", sum(widths.values()), d)
        else:
            for one, width in widths.items():
                self.matrix(at + "attn_" + one, width, d)
                if "bias" in self.has:
                    self.small(at + f"attn_{one}.bias", width)
        if "head_norms" in self.has:
            self.norm(at + "attn_q_norm", d_head)
            self.norm(at + "attn_k_norm", d_head)
        if "sinks" in self.has:
            self.small(at + "attn_sinks.weight", heads, spread=2.0)
        self.matrix(at + "attn_output", d, heads * d_value)

    def latent_attention(self, at):
        d, heads = self.key("embedding_length"), self.key("attention.head_count")
        rank, d_rope = self.key("attention.kv_lora_rank"), self.key("rope.dimension_count")
        d_head = self.key("attention.key_length_mla", self.key("attention.key_length"))
        d_value = self.key("attention.value_length_mla", self.key("attention.value_length"))
        steps, nope = self.key("attention.q_lora_rank"), d_head - d_rope
        if steps:
            self.matrix(at + "attn_q_a", steps, d)
            self.norm(at + "attn_q_a_norm", steps)
            self.matrix(at + "attn_q_b", heads * d_head, steps)
        else:
            self.matrix(at + "attn_q", heads * d_head, d)
        self.matrix(at + "attn_kv_a_mqa", rank + d_rope, d)
        self.norm(at + "attn_kv_a_norm", rank)
        if "attention.key_length_mla" in self.keys:
            self.matrix(at + "attn_k_b", heads, rank, nope)
            self.matrix(at + "attn_v_b", heads, d_value, rank)
        else:
            self.matrix(at + "attn_kv_b", heads * (nope + d_value), rank)
        self.matrix(at + "attn_output", d, heads * d_value)

    def dense(self, at, d_ff, suffix=""):
        d = self.key("embedding_length")
        if "fused" in self.has:
            self.matrix(at + "ffn_up", 2 * d_ff, d)
        else:
            self.matrix(at + "ffn_gate" + suffix, d_ff, d)
            self.matrix(at + "ffn_up" + suffix, d_ff, d)
        self.matrix(at + "ffn_down" + suffix, d, d_ff)

    def experts(self, at):
        d, n = self.key("embedding_length"), self.key("expert_count")
        d_ff = self.key("expert_feed_forward_length", self.key("feed_forward_length"))
        self.router(at + "ffn_gate_inp", n, d)
        if "choice_bias" in self.has:
            self.small(at + "exp_probs_b.bias", n, spread=0.1)
        self.matrix(at + "ffn_gate_exps", n, d_ff, d)
        self.matrix(at + "ffn_up_exps", n, d_ff, d)
        self.matrix(at + "ffn_down_exps", n, d, d_ff)
        if "expert_bias" in self.has:
            self.small(at + "ffn_gate_inp.bias", n)
            self.small(at + "ffn_gate_exps.bias", n, d_ff)
            self.small(at + "ffn_up_exps.bias", n, d_ff)
            self.small(at + "ffn_down_exps.bias", n, d)
        if "gate" in self.has:
            self.small(at + "ffn_gate_inp_shexp.weight", d)
        if "shared" in self.has:
            shared = self.key("expert_shared_count") * d_ff
            self.dense(at, self.key("expert_shared_feed_forward_length", shared), "_shexp")

    def layer(self, index):
        at, d = f"blk.{index}.", self.key("embedding_length")
        self.norm(at + "attn_norm", d)
        if self.family == "deepseek2":
            self.latent_attention(at)
        else:
            self.attention(at)
        if "out_bias" in self.has:
            self.small(at + "attn_output.bias", d)
        if "post_norms" in self.has or self.family == "gpt-oss":
            self.norm(at + "post_attention_norm", d)
        if self.family != "gpt-oss":
            self.norm(at + "ffn_norm", d)
        if self.key("expert_count") and index >= self.key("leading_dense_block_count"):
            self.experts(at)
        else:
            self.dense(at, self.key("feed_forward_length"))
        if "post_norms" in self.has:
            self.norm(at + "post_ffw_norm", d)

    # ---- the file ----

    def metadata(self, variant):
        self.file.string("general.architecture", self.family)
        self.file.string("general.name", variant)
        for name, value in self.keys.items():
            write = {bool: self.file.bool, int: self.file.u32, float: self.file.f32,
                     str: self.file.string}[type(value)]
            write(f"{self.family}.{name}", value)

    def vocabulary(self):
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [b for b in range(256) if b not in shown]
        spelling = {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
        tokens = [spelling[b] for b in range(256)] + ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        if self.tiny:
            self.file.array("tokenizer.ggml.tokens", STRING, tokens[:TINY_TOKENS])
            return TINY_TOKENS
        self.file.string("tokenizer.ggml.model", "gpt2")
        self.file.string("tokenizer.ggml.pre", "gpt-2")
        self.file.array("tokenizer.ggml.tokens", STRING, tokens)
        self.file.array("tokenizer.ggml.token_type", I32, [1] * 256 + [3] * 3)
        self.file.array("tokenizer.ggml.merges", STRING, [])
        self.file.u32("tokenizer.ggml.bos_token_id", 256)
        self.file.u32("tokenizer.ggml.eos_token_id", 258)
        self.file.bool("tokenizer.ggml.add_bos_token", False)
        self.file.string("tokenizer.chat_template", CHATML)
        return len(tokens)

    def write(self, variant, path):
        self.metadata(variant)
        n, d = self.vocabulary(), self.key("embedding_length")
        pairs = self.key("rope.dimension_count", d // self.key("attention.head_count")) // 2
        self.matrix("token_embd", n, d)
        if "rope_freqs" in self.has:
            self.tensor("rope_freqs.weight", (pairs,), "F32", 4.5, 3.5)
        if "long_short" in self.has:
            self.tensor("rope_factors_long.weight", (pairs,), "F32", 8.0, 6.0)
            self.tensor("rope_factors_short.weight", (pairs,), "F32", 1.5, 0.4)
        for index in range(self.key("block_count")):
            self.layer(index)
        self.norm("output_norm", d)
        if "tied" not in self.has:
            self.matrix("output", n, d)
        self.file.write(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant", nargs="?", choices=VARIANTS)
    parser.add_argument("out", nargs="?")
    parser.add_argument("--list", action="store_true", help="print the names of the variants")
    parser.add_argument("--type", default="F32", help="of the matrices: F32, Q8_0, ...")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="as small as can be, for fuzzing")
    options = parser.parse_args()
    if options.list:
        print("\n".join(VARIANTS))
    elif options.out is None:
        parser.error("VARIANT and OUT.gguf are needed")
    else:
        maker = Maker(options.variant, options.type, options.seed, options.tiny)
        maker.write(options.variant, options.out)


if __name__ == "__main__":
    main()
