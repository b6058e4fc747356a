#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models from their definitions, in float64 with numpy: the tests' independent oracle.

    reference.py MODEL.gguf TOKEN...     one line of logits a position

It shares no code with compute/ and follows no order of operations: it is what the canonical
arithmetic rounds. Each family is written as its paper or its published modelling code has it; latent
attention, for one, unfolds every key and value. Exit status 77 says that numpy is missing.
"""

import sys

try:
    import numpy as np
except ImportError:
    sys.exit(77)

from gguf_read import Gguf


# ---- shared pieces ------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def soft_cap(x, cap):
    return cap * np.tanh(x / cap) if cap else x


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def round_to_8_bits(x):
    """As activations are rounded where they meet quantised weights: 32 at a time."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    scales = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    return (np.rint(blocks / np.where(scales > 0, scales, 1)) * scales).reshape(x.shape)


def rotate(x, angles, magnitude, halves):
    """Rotate the first elements of x [tokens, heads, d] by angles [tokens, d_rope / 2]."""
    n = angles.shape[1]
    turn = magnitude * np.exp(1j * angles)[:, None, :]
    out = x.copy()
    if halves:
        z = (x[:, :, :n] + 1j * x[:, :, n : 2 * n]) * turn
        out[:, :, :n], out[:, :, n : 2 * n] = z.real, z.imag
    else:
        z = (x[:, :, 0 : 2 * n : 2] + 1j * x[:, :, 1 : 2 * n : 2]) * turn
        out[:, :, 0 : 2 * n : 2], out[:, :, 1 : 2 * n : 2] = z.real, z.imag
    return out


def kept(x):
    """As the cache keeps it: binary16."""
    return x.astype(np.float16).astype(np.float64)


def attention(q, k, v, scale, window=0, cap=0, sinks=None):
    """q [tokens, heads, d], k and v [tokens, kv heads, ...]; each token sees itself and before."""
    n, heads = q.shape[:2]
    k, v = np.repeat(k, heads // k.shape[1], axis=1), np.repeat(v, heads // v.shape[1], axis=1)
    scores = soft_cap(np.einsum("thd,shd->hts", q, k) * scale, cap)
    behind = np.arange(n)[:, None] - np.arange(n)[None, :]
    hidden = behind < 0
    if window:
        hidden |= behind >= window
    scores[:, hidden] = -np.inf
    if sinks is not None:  # one more score, whose weight goes nowhere
        column = np.broadcast_to(sinks[:, None, None], (heads, n, 1))
        scores = np.concatenate([scores, column], axis=2)
    weights = softmax(scores)[:, :, :n]
    return np.einsum("hts,shd->thd", weights, v).reshape(n, -1)


class Model:
    """What the file says, by short names; `family.` is put before each key."""

    def __init__(self, g):
        self.g = g
        self.family = g.keys["general.architecture"]
        key = self.key
        self.width = key("embedding_length")
        self.heads = key("attention.head_count")
        self.kv_heads = key("attention.head_count_kv", self.heads)
        self.d_head = key("attention.key_length", self.width // self.heads)
        self.d_value = key("attention.value_length", self.width // self.heads)
        self.d_rope = key("rope.dimension_count", self.d_head)
        self.epsilon = key("attention.layer_norm_rms_epsilon")
        self.layers = key("block_count") - key("nextn_predict_layers", 0)
        self.scale = key("attention.scale", 0) or 1 / np.sqrt(self.d_head)
        self.halves = self.family not in ("llama", "mistral3", "deepseek2")

    def key(self, name, default=None):
        return self.g.keys.get(f"{self.family}.{name}", default)

    def norm(self, x, name):
        return rms_norm(x, self.g.tensor(name + ".weight"), self.epsilon)

    def has(self, name):
        return self.g.has(name)

    def times(self, name, x, part=slice(None)):
        """Rows (or the part of them) of a matrix times each vector of x, plus the bias."""
        weights = self.g.tensor(name + ".weight")[part]
        if self.g.is_quantised(name + ".weight"):
            x = round_to_8_bits(x)
        out = x @ np.swapaxes(weights, -1, -2)
        return out + self.g.tensor(name + ".bias")[part] if self.has(name + ".bias") else out

    # ---- positions ----

    def original_context(self):
        return self.key("rope.scaling.original_context_length", self.key("context_length"))

    def frequencies(self):
        """Radians a position, and what cosines and sines are multiplied by."""
        base = self.key("rope.freq_base", 10000.0)
        pairs = np.arange(0, self.d_rope, 2)
        plain = base ** (-pairs / self.d_rope)
        kind = self.key("rope.scaling.type", "linear")
        factor = self.key("rope.scaling.factor", self.key("rope.scale_linear", 0)) or 1.0
        magnitude = self.key("rope.scaling.attn_factor", 1.0)
        if self.has("rope_freqs.weight"):
            plain = plain / self.g.tensor("rope_freqs.weight")
        if kind == "longrope":
            long = self.key("context_length") > self.original_context()
            name = f"rope_factors_{'long' if long else 'short'}.weight"
            return (plain / self.g.tensor(name) if self.has(name) else plain), magnitude
        if kind == "linear":
            return plain / factor, magnitude
        if kind == "yarn":
            return self.yarn(plain, base, factor, magnitude)
        return plain, magnitude

    def yarn(self, plain, base, factor, magnitude):
        magnitude = self.key("rope.scaling.yarn_attn_factor", magnitude)
        share = self.key("rope.scaling.yarn_ext_factor", 1.0)
        if share == 0:
            return plain / factor, magnitude

        def pair_with(turns):
            n = self.original_context()
            return self.d_rope * np.log(n / (turns * 2 * np.pi)) / (2 * np.log(base))

        low = max(np.floor(pair_with(self.key("rope.scaling.yarn_beta_fast", 32.0))), 0)
        high = min(np.ceil(pair_with(self.key("rope.scaling.yarn_beta_slow", 1.0))), self.d_rope - 1)
        pairs = np.arange(len(plain))
        slow = np.clip((pairs - low) / max(high - low, 0.001), 0, 1)  # 1: only interpolated
        kept = (1 - slow) * share
        mscale_all = self.mscale_all_dim()
        if self.family == "deepseek2":
            mscale = mscale_all or 1.0  # published models have both the same
        else:
            mscale = 1.0
        of = lambda m: 0.1 * m * np.log(factor) + 1 if factor > 1 else 1.0
        magnitude *= of(mscale) / (of(mscale_all) if mscale_all else 1.0)
        return plain / factor * (1 - kept) + plain * kept, magnitude

    def mscale_all_dim(self):
        value = self.key("rope.scaling.yarn_log_multiplier", 0.0)
        return value / 0.1 if self.family == "deepseek2" else value

    def temperature(self, positions):
        """Mistral's growth of queries past the original context (Llama 4's rule)."""
        growth = self.key("attention.temperature_scale", 0.0)
        length = self.key("attention.temperature_length", self.original_context())
        return (1 + growth * np.log(1 + np.floor(positions / length)))[:, None, None]


# ---- feed-forward -------------------------------------------------------------------------------


def gated(m, gate, up):
    if m.family in ("gemma2", "gemma3"):
        return gelu(gate) * up
    if m.family == "gpt-oss":
        gate, up = np.minimum(gate, 7.0), np.clip(up, -7.0, 7.0)
        return gate * sigmoid(1.702 * gate) * (up + 1)
    return silu(gate) * up


def feed_forward(m, at, x, suffix=""):
    if m.family == "phi3":
        both = m.times(at + "ffn_up", x)
        half = both.shape[-1] // 2
        return m.times(at + "ffn_down", gated(m, both[:, :half], both[:, half:]))
    inner = gated(m, m.times(at + "ffn_gate" + suffix, x), m.times(at + "ffn_up" + suffix, x))
    return m.times(at + "ffn_down" + suffix, inner)


def choose(m, at, scores):
    """The experts of each token, best first, after bias and groups; and their scores by gating."""
    used = m.key("expert_used_count")
    if m.family == "gpt-oss":
        probabilities = scores
    elif m.key("expert_gating_func", 1) == 2:
        probabilities = sigmoid(scores)
    else:
        probabilities = softmax(scores)
    choice = probabilities.copy()
    if m.has(at + "exp_probs_b.bias"):
        choice += m.g.tensor(at + "exp_probs_b.bias")
    groups = m.key("expert_group_count", 1)
    if groups > 1:
        grouped = choice.reshape(len(choice), groups, -1)
        ordered = -np.sort(-grouped, axis=-1)
        worth = ordered[..., :2].sum(-1) if m.key("expert_gating_func", 1) == 2 else ordered[..., 0]
        best = np.argsort(-worth, axis=-1, kind="stable")[:, : m.key("expert_group_used_count")]
        out = np.ones((len(choice), groups), dtype=bool)
        np.put_along_axis(out, best, False, axis=1)
        grouped[out] = -np.inf
    chosen = np.argsort(-choice, axis=-1, kind="stable")[:, :used]
    return chosen, np.take_along_axis(probabilities, chosen, axis=1)


def experts(m, at, x):
    chosen, weights = choose(m, at, m.times(at + "ffn_gate_inp", x))
    if m.family == "gpt-oss":
        weights = softmax(weights)
    elif m.family in ("llama", "mistral3", "qwen3moe") or m.key("expert_weights_norm", False):
        weights = weights / weights.sum(axis=-1, keepdims=True)
    weights = weights * (m.key("expert_weights_scale", 0.0) or 1.0)
    out = np.zeros_like(x)
    for t in range(len(x)):
        for expert, weight in zip(chosen[t], weights[t]):
            one = x[t : t + 1]
            gate = m.times(at + "ffn_gate_exps", one, expert)
            up = m.times(at + "ffn_up_exps", one, expert)
            out[t] += weight * m.times(at + "ffn_down_exps", gated(m, gate, up), expert)[0]
    if m.has(at + "ffn_gate_shexp.weight"):
        shared = feed_forward(m, at, x, "_shexp")
        if m.has(at + "ffn_gate_inp_shexp.weight"):
            shared = shared * sigmoid(x @ m.g.tensor(at + "ffn_gate_inp_shexp.weight"))[:, None]
        out = out + shared
    return out


# ---- attention of a layer -----------------------------------------------------------------------


def queries_keys_values(m, at, h):
    n = len(h)
    widths = m.heads * m.d_head, m.kv_heads * m.d_head, m.kv_heads * m.d_value
    if m.family == "phi3":
        q, k, v = np.split(m.times(at + "attn_qkv", h), np.cumsum(widths)[:2], axis=1)
    else:
        q, k, v = (m.times(at + "attn_" + one, h) for one in "qkv")
    q, k = q.reshape(n, m.heads, m.d_head), k.reshape(n, m.kv_heads, m.d_head)
    if m.has(at + "attn_q_norm.weight"):
        q, k = m.norm(q, at + "attn_q_norm"), m.norm(k, at + "attn_k_norm")
    return q, k, v.reshape(n, m.kv_heads, m.d_value)


def window_of(m, layer):
    """0: the layer sees all positions."""
    window = m.key("attention.sliding_window", 4096 if m.family == "gemma2" else 0)
    period = {"gemma2": 2, "gpt-oss": 2, "gemma3": 6}.get(m.family)
    period = m.key("attention.sliding_window_pattern", period)
    return 0 if period and layer % period == period - 1 else window


def plain_attention(m, at, layer, h, rope):
    positions = np.arange(len(h))
    window = window_of(m, layer)
    frequencies, magnitude = rope
    if m.family == "gemma3" and window:
        base = m.key("rope.freq_base_swa", 10000.0)
        frequencies, magnitude = base ** (-np.arange(0, m.d_rope, 2) / m.d_rope), 1.0
    angles = np.outer(positions, frequencies)
    q, k, v = queries_keys_values(m, at, h)
    q = rotate(q, angles, magnitude, m.halves) * m.temperature(positions)
    k, v = kept(rotate(k, angles, magnitude, m.halves)), kept(v)
    cap = m.key("attn_logit_softcapping", 50.0) if m.family == "gemma2" else 0
    sinks = m.g.tensor(at + "attn_sinks.weight") if m.has(at + "attn_sinks.weight") else None
    scale = m.scale
    if (m.family, m.layers) in (("gemma2", 46), ("gemma3", 62)):
        scale = 1 / np.sqrt(m.width // m.heads)
    return m.times(at + "attn_output", attention(q, k, v, scale, window, cap, sinks))


def latent_attention(m, at, h, rope):
    """DeepSeek-V2, equations 9 to 11 and 14 to 19: keys and values unfolded for every position."""
    n, rank = len(h), m.key("attention.kv_lora_rank")
    d_head, d_value = m.key("attention.key_length_mla"), m.key("attention.value_length_mla")
    if d_head is None:
        d_head, d_value = m.d_head, m.d_value
    nope = d_head - m.d_rope
    frequencies, magnitude = rope
    angles = np.outer(np.arange(n), frequencies)

    if m.has(at + "attn_q_a.weight"):
        q = m.times(at + "attn_q_b", m.norm(m.times(at + "attn_q_a", h), at + "attn_q_a_norm"))
    else:
        q = m.times(at + "attn_q", h)
    q = q.reshape(n, m.heads, d_head)
    q = np.concatenate([q[..., :nope], rotate(q[..., nope:], angles, magnitude, False)], axis=-1)
    q = q * m.temperature(np.arange(n))

    both = m.times(at + "attn_kv_a_mqa", h)
    c = kept(m.norm(both[:, :rank], at + "attn_kv_a_norm"))
    k_rope = kept(rotate(both[:, None, rank:], angles, magnitude, False))
    if m.has(at + "attn_kv_b.weight"):
        kv = m.times(at + "attn_kv_b", c).reshape(n, m.heads, nope + d_value)
        k_nope, v = kv[..., :nope], kv[..., nope:]
    else:
        k_nope = np.einsum("tc,hcd->thd", c, m.g.tensor(at + "attn_k_b.weight"))
        v = np.einsum("tc,hdc->thd", c, m.g.tensor(at + "attn_v_b.weight"))
    k = np.concatenate([k_nope, np.repeat(k_rope, m.heads, axis=1)], axis=-1)

    scale = m.key("attention.scale", 0) or 1 / np.sqrt(d_head)
    if m.key("rope.scaling.type") == "yarn":
        scale *= (0.1 * m.mscale_all_dim() * np.log(m.key("rope.scaling.factor", 1.0)) + 1) ** 2
    return m.times(at + "attn_output", attention(q, k, v, scale))


# ---- the whole ----------------------------------------------------------------------------------


def logits(g, tokens):
    m = Model(g)
    rope = m.frequencies()
    gemma = m.family in ("gemma2", "gemma3")
    x = g.tensor("token_embd.weight")[tokens] * (np.sqrt(m.width) if gemma else 1)
    for layer in range(m.layers):
        at = f"blk.{layer}."
        h = m.norm(x, at + "attn_norm")
        if m.family == "deepseek2":
            h = latent_attention(m, at, h, rope)
        else:
            h = plain_attention(m, at, layer, h, rope)
        x = x + (m.norm(h, at + "post_attention_norm") if gemma else h)
        h = m.norm(x, at + ("post_attention_norm" if m.family == "gpt-oss" else "ffn_norm"))
        routed = m.has(at + "ffn_gate_inp.weight")
        h = experts(m, at, h) if routed else feed_forward(m, at, h)
        x = x + (m.norm(h, at + "post_ffw_norm") if gemma else h)
    x = m.norm(x, "output_norm")
    x = m.times("output" if m.has("output.weight") else "token_embd", x)
    default = 30.0 if m.family == "gemma2" else 0
    return soft_cap(x, m.key("final_logit_softcapping", default))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for row in logits(Gguf(sys.argv[1]), [int(t) for t in sys.argv[2:]]):
        print(" ".join(repr(float(value)) for value in row))


if __name__ == "__main__":
    main()
