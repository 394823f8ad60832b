"""Writes real embeddings into a folder: rows.npy (50,000 x 384), held.npy (queries of the same kind that are no rows) and
other.npy (queries from another source), float32 and of length 1. load.rs calls it with the packages on PYTHONPATH."""

import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy

import model
import texts

ROWS = 50_000
HELD = 7_500
OTHER = 1_500


def main(folder):
    packages = texts.packages()
    others = texts.man_pages()[:OTHER]
    if len(packages) < ROWS + HELD:
        sys.exit(f"only {len(packages)} texts of packages")
    vectors = model.embed(packages[: ROWS + HELD] + others)
    write(folder, "rows", vectors[:ROWS])
    write(folder, "held", vectors[ROWS : ROWS + HELD])
    write(folder, "other", vectors[ROWS + HELD :])


def write(folder, name, vectors):
    loading = folder / f"loading_{name}.npy"
    numpy.save(loading, vectors.astype("<f4"))
    loading.rename(folder / f"{name}.npy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
