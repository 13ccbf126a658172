"""benchmarks/growth.py with a few hundred files, in this process: every step runs and nothing is left behind."""

import importlib.util
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("growth", ROOT / "benchmarks" / "growth.py")
growth = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(growth)


def test_exponent():
    numbers = [10_000, 100_000, 1_000_000]
    assert growth.exponent(numbers, [3.0 * n for n in numbers]) == pytest.approx(1)
    assert growth.exponent(numbers, [n**2 for n in numbers]) == pytest.approx(2)
    assert growth.exponent(numbers, [n * math.log(n) for n in numbers]) == pytest.approx(1.09, abs=0.005)


def test_every_step_with_a_few_hundred_files(tmp_path: Path):
    from wikiart_data.images.catalog import scan

    cache_folders = {}

    def measure(step: str, root: Path, cache: Path) -> dict[str, float]:
        measured = growth.measure(step, root, cache)
        cache_folders[step] = {path.relative_to(cache).parts[0] for path in cache.rglob("*") if path.is_file()}
        if step == "scan again":
            catalog = scan(root, cache_dir=cache)
            assert len(catalog) in (200, 300)
            assert len(catalog.styles) == 27
            assert (catalog.counts("train") > 0).all()
        return measured

    grown = {number: growth.grow(number, tmp_path, measure) for number in (200, 300)}
    assert list(tmp_path.iterdir()) == []
    assert list(cache_folders) == list(growth.STEPS)
    assert cache_folders["scan"] == {"manifests"}
    assert cache_folders["pack"] == {"manifests", "packs"}
    assert all(grown[300][step]["seconds"] > 0 for step in growth.STEPS)
    # 300 names of about 45 bytes, two numbers of 8 bytes each, and little else.
    assert 300 * 55e-6 < grown[300]["manifest"] < 300 * 110e-6 + 0.01
