"""The batch files of examples/slurm with a stand-in for the scheduler: signals, requeueing, several processes."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from wikiart_data.sample.build import build_sample_set
from wikiart_data.training.checkpoints import read_model

ROOT = Path(__file__).resolve().parent.parent
SLURM = ROOT / "examples" / "slurm"
OPTIONS = ("--model", "tiny", "--size", "16", "--epochs", "4", "--device", "cpu", "--artists", "0")
PATIENCE_S = 900  # a machine that is ten times slower must pass as well

SRUN = """#!{python}
# srun: one process per task; signals are passed on to all of them; ends with the highest status.
import os, signal, subprocess, sys
tasks, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NNODES"])
processes = []
signal.signal(signal.SIGUSR1, lambda number, _: [p.send_signal(number) for p in processes])
for task in range(tasks):
    local = task % (tasks // nodes)
    environment = os.environ | {{"SLURM_PROCID": str(task), "SLURM_LOCALID": str(local)}}
    processes.append(subprocess.Popen(sys.argv[1:], env=environment))
open(os.environ["SRUN_PID"], "w").write(str(os.getpid()))
codes = [p.wait() for p in processes]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""

SCONTROL = """#!/bin/bash
# scontrol: lists the nodes of a job, and notes what is to be requeued.
case "$1" in
  show) for node in $3; do echo "$node"; done ;;
  requeue) echo "$2" >> "$SCONTROL_REQUEUED" ;;
esac
"""


@dataclass
class Scheduler:
    """Runs a batch file, sends SIGUSR1 when the run has logged an epoch, and starts it again when it is requeued."""

    folder: Path
    python: Path
    """What the batch files find as `python`."""
    requeued: list[str] = field(default_factory=list)

    def submit(self, script: str, *arguments: str, run: Path, tasks: int | None = None) -> None:
        text = (SLURM / script).read_text()
        nodes = int(re.findall(r"#SBATCH --nodes=(\d+)", text)[0])
        tasks = tasks or nodes * int(re.findall(r"#SBATCH --ntasks-per-node=(\d+)", text)[0])
        binaries = self.folder / "bin"
        binaries.mkdir(exist_ok=True)
        for name, content in (("srun", SRUN.format(python=sys.executable)), ("scontrol", SCONTROL)):
            (binaries / name).write_text(content)
            (binaries / name).chmod(0o755 | stat.S_IXUSR)
        pid_file, requeue_file = self.folder / "srun.pid", self.folder / "requeued"
        environment = os.environ | {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "SLURM_SUBMIT_DIR": str(self.folder / "submit"),
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_ARRAY_JOB_ID": "77",
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_NNODES": str(nodes),
            "SLURM_NTASKS": str(tasks),
            "SLURM_JOB_NODELIST": " ".join(["127.0.0.1"] * nodes),
            "SRUN_PID": str(pid_file),
            "SCONTROL_REQUEUED": str(requeue_file),
        }
        activate = self.folder / "submit" / ".venv" / "bin" / "activate"  # what `source` reads: nothing to do here
        activate.parent.mkdir(parents=True, exist_ok=True)
        activate.write_text(f"export PATH={self.python.parent}:$PATH\n")
        while True:
            pid_file.unlink(missing_ok=True)
            requeue_file.unlink(missing_ok=True)
            job = subprocess.Popen(["bash", str(SLURM / script), *arguments], env=environment, cwd=self.folder)
            if not self.requeued:
                self._signal_after_first_epoch(job, run, pid_file)
            job.wait(PATIENCE_S)
            if not requeue_file.exists():
                assert job.returncode == 0
                return
            self.requeued += requeue_file.read_text().split()
            assert job.returncode == 128 + signal.SIGUSR1

    def _signal_after_first_epoch(self, job: subprocess.Popen, run: Path, pid_file: Path) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not (run / "metrics.jsonl").exists():
            assert job.poll() is None, "the job ended before its first epoch"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(int(pid_file.read_text()), signal.SIGUSR1)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample_set(tmp_path_factory.mktemp("slurm") / "set", size=32, fraction=0.03, echo=lambda _: None)


@pytest.mark.parametrize(("script", "name", "tasks"), [("seeds.sbatch", "job-1", None), ("two_nodes.sbatch", "job", 2)])
def test_a_job_that_is_interrupted_and_requeued_ends_where_an_uninterrupted_one_does(
    script: str,
    name: str,
    tasks: int | None,
    paintings: Path,
    warm_python: Path,
    run_program: Callable[..., str],
    in_two_processes: Callable[..., str],
    tmp_path: Path,
):
    scheduler, run = Scheduler(tmp_path, warm_python), tmp_path / "runs" / "classify" / name
    arguments = ("--data", str(paintings), *OPTIONS)
    of_job = ("--name", "job", *(("--seed", "1") if tasks else ()))  # seeds.sbatch gives the seed itself
    scheduler.submit(script, "wikiart_classify", *arguments, *of_job, run=run, tasks=tasks)
    assert len(scheduler.requeued) == 1
    folders = ("--runs", str(run.parents[1]), "--cache-dir", str(tmp_path / "cache"))
    arguments = (*arguments, *folders, "--name", "whole", "--seed", "1")
    if tasks:
        (tmp_path / "whole.py").write_text(WITHOUT_FIGURES)
        in_two_processes(str(tmp_path / "whole.py"), *arguments)
    else:
        run_program(WITHOUT_FIGURES, *arguments)
    interrupted, whole = (read_model(folder / "model.safetensors")[0] for folder in (run, run.parent / "whole"))
    assert interrupted.keys() == whole.keys()
    assert all(torch.equal(interrupted[key], whole[key]) for key in whole)


WITHOUT_FIGURES = """
import sys
from matplotlib.figure import Figure
from wikiart_classify import training
from wikiart_classify.cli import main
from wikiart_data.results import folder
from wikiart_data.results.figures import png

training.write_examples = lambda *_: None
folder.png = lambda _: png(Figure(figsize=(0.01, 0.01)))
raise SystemExit(main(sys.argv[1:]))
"""


def test_the_other_files_differ_in_what_they_ask_for_alone():
    def commands(name: str) -> list[str]:
        return [line for line in (SLURM / name).read_text().splitlines() if not line.startswith("#")]

    assert commands("one_node.sbatch") == commands("two_nodes.sbatch")
    seeds = "\n".join(commands("seeds.sbatch"))
    assert set(commands("one_gpu.sbatch")) - set(commands("seeds.sbatch")) == {
        'srun python -m "$package" "$@" --resume auto',
        'if [ "$status" -eq 138 ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
    }
    assert '--seed "$seed"' in seeds
    for path in SLURM.glob("*.sbatch"):
        subprocess.run(["bash", "-n", str(path)], check=True)
