"""Where Corral answers a refused command otherwise than the real Slurm, and why."""

import re

#: What Corral does not have it says first, whatever value comes with it.
NOT_OFFERED = "is not supported"

#: Words of the real one's own build or machine; the same is meant.
SAME = (
    (re.compile(r"slurmstepd-dgx\d+:"), "slurmstepd:"),  # built with --enable-multiple-slurmd
    (re.compile(r"dgx018\d: task"), "dgxN: task"),  # which node is taken first
    (re.compile(r"StepId=\d+"), "StepId=N"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"), "<TIME>"),
    (re.compile(r"slurm-wlm 22"), "slurm 22"),  # Debian's name of the package
    (re.compile(r"(?<![\w.])\d{1,6}(?![\d.]*\.05)(?![a-wyz])"), "N"),  # job ids
)

#: Index in errors.json -> why; only the exit status is compared there.
OTHER_WORDS: dict[int, str] = {}

#: Index in errors.json -> why; it is run, and nothing is compared.
OTHERWISE: dict[int, str] = {}

for reason, indices in {
    "the particulars in a first line of their own are not said": (77, 93, 391, 502),
    "a backwards range is refused as a name, not by running out of memory": (168,),
    "expand is no dependency here": (193,),
    "salloc was given nothing that could be revoked": (506, 613, 631, 632),
    "two streams come in another order": (518, 519, 520, 521, 548, 557, 561, 614),
    "a bracket is not completed": (716, 795),
    "without an accounting database": (862, 906),
    "verbose texts show Corral's own requests": (740,),
    "the id is checked before its state": (915, 980),
    "ended is not pending": (917,),
    "numbers are complained about once": (827,),
    "the step is named, and not only its job": (644,),
    "what is wrong with changing a job that runs is that it runs": (851,),
    "a waiting array is named by its id": (690,),
    "resume of a job that there is not": (919,),
    "-t is no option": (1037,),
    "tasks can be bound to CPUs": (564, 565),
    "--json takes a version": (739, 781),
    "what is missing is said with where it is configured": (950,),
}.items():
    OTHER_WORDS |= dict.fromkeys(indices, reason)

for reason, indices in {
    "srun finds the program on the submitter's PATH": (499, 587),
    "virtual nodes have one socket with all their cores": (311,),
    "an idle node may be resumed once more: nothing changes": (868,),
    "active and available features are one list": (875, 876),
    "an unlimited time limit stays so": (824,),
    "there is one QOS and no database to look others up in": (1002,),
    "multi-prog files of the recording are not there": (604, 605, 606, 607, 608),
    "a job without a memory request has no memory limit for its steps": (544,),
    "tokens are there without a plugin for them": (944,),
    "needs a job of another user": (535, 675, 972, 973),
    "a step of a job shows its job": (704,),
    "the order is not looked at where there is one job only": (511, 720),
}.items():
    OTHERWISE |= dict.fromkeys(indices, reason)
