"""Files in, files out: one file through a task, and many files, resumed where a run stopped.

There is no state beside the outputs: an output appears whole or not at all, and carries in GCM_PROV the hash
of the input and of all options, so that a second run knows what is done. Each plane has its own seed, made
from the run's seed and the pixels: frames of one survey do not share noise, and a plane gets the same noise
whatever else is in the batch.
"""

from __future__ import annotations

from gencosmo.batch.job import OPS, FileReport, Hooks, Job
from gencosmo.batch.many import output_path, process_files
from gencosmo.batch.one import process_file, run_file

__all__ = ["OPS", "FileReport", "Hooks", "Job", "output_path", "process_file", "process_files", "run_file"]
