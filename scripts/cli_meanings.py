"""What does each option of the commands mean, in a line? Read by cli_reference.py, which fails where a line is missing."""

SUBMIT = {
    "account": "whom the job is charged to",
    "acctg-freq": "seconds between two samples of what the tasks use: `10`, `task=10`; `0`: only at their end",
    "array": "one job per index: `0-31`, `1,3,5-7`, `0-30:5`; `%4` at the end: at most four at a time",
    "batch": "features of the node that runs the script; each of them is in `--constraint` too",
    "bcast": "send the program to the nodes first, and run it from there: under this path",
    "bcast-exclude": "`--send-libs` leaves out libraries in these places",
    "compress": "`--bcast` sends the file packed",
    "send-libs": "`--bcast` sends the libraries the program is linked with, too",
    "begin": "do not start before: `now+1hour`, `16:00`, `2026-05-01T08:00`",
    "bell": "ring the bell when the allocation is there",
    "chdir": "the directory in which the job runs",
    "cluster": "as `--clusters`",
    "clusters": "on this cluster: its own name, or `all`; `sbatch` then names it behind the job's id",
    "comment": "any text; `squeue -o %k` shows it",
    "wckey": "a workload characterization key: any word, for telling kinds of work apart in `squeue -o %w` and `sacct -o wckey`",
    "container-image": (
        "its tasks (of `sbatch`: the script) see this image as their root: `[docker://][REGISTRY#]IMAGE[:TAG]`, or the path of a "
        "squashfs file, of a `.sif`, of an OCI or docker archive, of an OCI layout"
    ),
    "container-mounts": "mounted inside: `SRC:DST[:FLAGS]`, with commas; flags are joined by `+` (`ro`); SRC may be `tmpfs`",
    "container-workdir": "where tasks begin inside; the image's own where it is not said",
    "container-name": "the container stays for later steps, or later jobs (`[containers] scope`): `NAME[:auto|create|exec|no_exec|remove]`",
    "container-save": "what the tasks have made of it is written to this squashfs file",
    "container-mount-home": "the user's home is there inside",
    "no-container-mount-home": "it is not",
    "container-remap-root": "the user looks like root inside, and may install packages",
    "no-container-remap-root": "it does not",
    "container-entrypoint": "the image's entrypoint is run before the program",
    "no-container-entrypoint": "it is not",
    "container-writable": "tasks may write where the image is; it is gone with the container",
    "container-readonly": "they may not, but for `/tmp` and `/run`",
    "container-env": "variables whose value outside counts although the image has one",
    "constraint": (
        "features that its nodes must have: `a`, `a&b`, `a|b`, `(a|b)&c`, `a*2` (on two of them), `[a|b]` "
        "(all the same one), `[a*2&b*1]`"
    ),
    "contiguous": "nodes whose names follow one another",
    "core-spec": "said to be ignored: no cores are set aside for the system",
    "cores-per-socket": "sockets with at least so many free cores count",
    "cpu-bind": (
        "on which CPUs of its step each task runs: `cores`, `threads`, `sockets`, `ldoms`, `rank`, "
        "`rank_ldom`, `map_cpu:0,4`, `mask_cpu:0x3,0xc`, `map_ldom:`, `mask_ldom:`, `none` (the default); "
        "`verbose,` before it: say so"
    ),
    "cpu_bind": "as `--cpu-bind`",
    "cpus-per-gpu": "CPUs for each GPU",
    "cpus-per-task": "CPUs of each task",
    "deadline": "a job that cannot end by then is ended in the state DEADLINE",
    "dependency": (
        "start after others: `afterok:42`, `afterany:42:43`, `afternotok:42`, `after:42+5`, `aftercorr:42`, `singleton`"
    ),
    "disable-status": "Ctrl-C ends the tasks at once, without showing their state first",
    "distribution": (
        "how tasks go to nodes, then to sockets and cores: `block`, `cyclic`, `plane=N`, `arbitrary` (as `-w`"
        " or the file in SLURM_HOSTFILE lists them); `:block`, `:cyclic`, `:fcyclic`; `,Pack`, `,NoPack`"
    ),
    "epilog": "a program that srun runs, where it is, when the tasks have ended",
    "error": "the file for standard error; `%` patterns as for `--output`",
    "exact": "the step gets exactly the CPUs that it asks for, and leaves the rest of the job to others",
    "exclude": "not on these nodes: a host list, or a file with one",
    "exclusive": (
        "whole nodes, shared with no other job; `=user`: with no other user's; for a step: CPUs shared with "
        "no other step"
    ),
    "export": "which variables go with the job: `ALL`, `NONE`, `NIL`, names, `NAME=value`",
    "export-file": "variables from a file, `NAME=value` each, ended by a zero byte",
    "extra-node-info": "`sockets:cores:threads` in one; without `--ntasks` one task for each of them",
    "gpu-bind": (
        "which GPUs of its step each task sees: `single:N` (N tasks to each), `per_task:N`, `map_gpu:0,1`, "
        "`mask_gpu:0x3,0xc` (counted from the step's first), `closest`, `none`"
    ),
    "gpus": "GPUs of the whole job: `4`, `v100:4`",
    "gpus-per-node": "GPUs of each node",
    "gpus-per-socket": "GPUs of each socket; goes with `--sockets-per-node`",
    "gpus-per-task": "GPUs of each task, which sees only its own",
    "gres": "generic resources of each node: `gpu:2`, `gpu:v100:2`",
    "gres-flags": "`enforce-binding`, `disable-binding`: kept and shown; no GPU here is nearer to some cores",
    "help": "print the options",
    "het-group": "on these components of a heterogeneous job: `0,2-3`; without it, on the first",
    "pack-group": "as `--het-group`",
    "hint": (
        "`compute_bound`, `nomultithread`: one thread of each core; `memory_bound`: one core of each socket "
        "as well; `multithread`"
    ),
    "hold": "submit it held; `scontrol release` lets it go",
    "ignore-pbs": "`#PBS` lines are ignored in any case",
    "immediate": "give up when the resources are not free within so many seconds",
    "input": "the file for standard input; srun also: `none`, or the rank of the one task that gets it",
    "jobid": "a step of this job, from anywhere",
    "job-name": "its name; without it that of the script or program",
    "kill-command": "the signal for salloc's command when the allocation ends early (without a value: SIGTERM)",
    "admin-comment": "any text of an administrator's; `scontrol show job` shows it",
    "extra": "any text that is kept with the job",
    "gid": "submit with this group (root only)",
    "kill-on-invalid-dep": "`yes`: end the job when its dependency can never be satisfied; `no`: let it wait",
    "kill-on-bad-exit": "the first task that ends with an exit code other than 0 ends the step; `=0`: it does not",
    "label": "each line of output begins with the rank of its task",
    "licenses": "licences of the cluster: `matlab:2,ansys`",
    "mail-type": "on what mail is sent: `BEGIN`, `END`, `FAIL`, `REQUEUE`, `TIME_LIMIT`, `ARRAY_TASKS`, `ALL`, ...",
    "mail-user": "whom; without it the user",
    "mem": "memory of each node, in MB or as `4G`; `0`: all of it",
    "mem-bind": "`none`, `local`",
    "mem-per-cpu": "memory for each CPU",
    "mem-per-gpu": "memory for each GPU",
    "mpi": "how the tasks of an MPI program find each other: `none`, `pmi2` (PMI-1 and PMI-2, for MPICH), `pmix` (for Open MPI), or `list`",
    "mincpus": "CPUs of each node, at least",
    "msg-timeout": "accepted; there are no such messages",
    "multi-prog": "the program is a file that says what each rank runs",
    "nice": "lower its priority by so much (without a value: 100)",
    "no-bell": "do not ring",
    "no-kill": "the loss of a node does not end the job; `off`: it does",
    "no-requeue": "never run it again from the start",
    "no-shell": "take the allocation and return at once",
    "nodefile": "the nodes, from a file",
    "nodelist": "these nodes at least: a host list, or a file with one",
    "nodes": "how many: `2`, `1-4`",
    "ntasks": "tasks of the job or step",
    "ntasks-per-core": "tasks on each core, at most",
    "ntasks-per-gpu": "tasks for each GPU; without a number of GPUs, as many as the tasks need",
    "ntasks-per-socket": "tasks on each socket, at most",
    "ntasks-per-tres": "as `--ntasks-per-gpu`",
    "ntasks-per-node": "tasks on each node",
    "open-mode": "`append` to output files or `truncate` them",
    "output": "the file for standard output; [patterns](#file-names)",
    "overcommit": "more tasks than CPUs",
    "overlap": "the step may use CPUs that other steps use",
    "oversubscribe": "the CPUs may be shared with other jobs, where the partition has `OverSubscribe=YES`",
    "parsable": "print only the job's id",
    "partition": "in this partition, or the first possible of several: `a,b`",
    "prefer": "features that its nodes have if such are free now, in the place of `--constraint`",
    "preserve-env": "keep `SLURM_JOB_NUM_NODES` and `SLURM_NTASKS` of the job as they are",
    "priority": "operators: this priority; `0` holds the job",
    "profile": "only `none`",
    "prolog": "a program that srun runs, where it is, before the tasks",
    "task-prolog": "program run as the user before each task; its lines `export X=Y`, `unset X` and `print ...` act on the task",
    "task-epilog": "program run as the user after each task",
    "get-user-env": "the job starts from the user's login environment; what is exported goes on top",
    "propagate": "which limits (`ulimit`) go with the job: `ALL`, `NONE`, `NOFILE,CORE`, ...",
    "pty": "the first task gets a terminal",
    "qos": "a name that is kept with the job; partitions can ask for it",
    "quiet": "say only errors",
    "quit-on-interrupt": "one Ctrl-C ends the tasks",
    "ports": "so many ports are the job's own on all its nodes (`CORRAL_PORTS`, in steps `SLURM_STEP_RESV_PORTS`); needs `step_ports`",
    "resv-ports": "so many ports of its nodes are the step's own (`SLURM_STEP_RESV_PORTS`); needs `step_ports`",
    "relative": "the step's nodes begin with the job's node of this number",
    "requeue": "it may be run again from the start",
    "reservation": "run in this reservation, or in the first of several that is open",
    "signal": (
        "`[B:]SIGNAL[@SECONDS]`: send it so long before the time limit (60 s); `B:` only to the batch shell; `R:` changes nothing "
        "(no MaxStartDelay)"
    ),
    "thread-spec": "said to be ignored, as `--core-spec`",
    "threads": "accepted; srun needs no threads",
    "sockets-per-node": "nodes with at least so many usable sockets",
    "spread-job": "as many nodes as possible, the emptiest first",
    "switches": "`2@1:00:00`: on at most two leaf switches, unless it has waited for an hour",
    "tasks-per-node": "as `--ntasks-per-node`",
    "test-only": "do not submit; say when it could start",
    "threads-per-core": "so many threads of each core are used",
    "time": "time limit: minutes, `4:00:00`, `1-12`, `UNLIMITED`",
    "time-min": "the limit may be lowered to this, if the job can start sooner so",
    "tmp": "temporary disk that each node has, in MB or as `4G`",
    "uid": "root only: for this user",
    "unbuffered": "output as it comes, not in lines",
    "usage": "print a short usage",
    "use-min-nodes": "of a range given to `--nodes` the smaller number, if that will do",
    "verbose": "say more; repeat for still more",
    "version": "print the version",
    ("wait", "b"): "return when the job has ended, with its exit code",
    ("wait", "r"): "end the step so many seconds after its first task has ended",
    "wait-all-nodes": "start when all nodes are ready; they always are",
    "whole": "accepted: a step gets all CPUs of its nodes unless `--exact`",
    "wrap": "this shell command instead of a script",
    "x11": "windows of the tasks come to the display here: `all` nodes have it (the default), the `first` (`batch`) or the `last`; "
    "see [windows of a job](../howto/into-a-running-job.md#windows-of-a-job)",
}

_HELP = {
    "cluster": "as `--clusters`",
    "help": "print the options", "usage": "print a short usage", "version": "print the version", "verbose": "say more",
    "json": "all fields as JSON; `=v0.0.38` in the shape of Slurm 22.05, `=list` names the shapes",
    "yaml": "the same as YAML", "noheader": "without the header",
    "clusters": "of these clusters: the name of this one, or `all`",
    "federation": "accepted: there is no federation, so nothing more to show", "sibling": "accepted, as `--federation`",
}  # fmt: skip

SQUEUE = _HELP | {
    "accounts": "of these accounts", "all": "also in hidden partitions", "array": "one line per element of an array",
    "array-unique": "elements with records of their own apart from the rest of their array",
    "Format": "columns by name: `name[:[.]width[suffix]],...`", "format": "columns by letter: `%[.][width]letter ...`",
    "hide": "not in hidden partitions (the default)", "iterate": "again every so many seconds", "jobs": "these jobs",
    "licenses": "those that ask for one of these licences", "local": "accepted: there is one cluster",
    "long": "more columns", "me": "your own", "name": "of these names", "noconvert": "memory as it was given",
    "nodelist": "on these nodes", "partitions": "in these partitions", "priority": "accepted: a job is listed once",
    "qos": "of these QOS", "reservation": "those of one of these reservations",
    "sort": "by these letters, `-` before one reverses it: `P,t,-p`", "start": "when waiting jobs are expected to start, and where",
    "states": "in these states; `all`: also those that ended a short while ago", "steps": "steps instead of jobs",
    "users": "of these users",
}  # fmt: skip

SINFO = _HELP | {
    "all": "also hidden partitions", "dead": "only nodes that do not answer", "exact": "nodes of one line are alike in every column",
    "hide": "not hidden partitions (the default)", "iterate": "again every so many seconds", "local": "accepted: there is one cluster",
    "long": "more columns", "nodes": "these nodes", "noconvert": "accepted: sizes are in MB",
    "Node": "one line per node and partition", "format": "columns by letter: `%[.][width]letter ...`",
    "Format": "columns by name: `name[:[.]width[suffix]],...`", "partition": "these partitions", "responding": "only nodes that answer",
    "list-reasons": "why nodes are out, since when, and who said so", "summarize": "one line per partition",
    "sort": "by these letters",
    "states": "in these states: `idle,mix`; `&` between two: both", "reservation": "the reservations",
}  # fmt: skip

SACCT = _HELP | {
    "allusers": "of everybody (operators; root sees everybody without it)", "accounts": "of these accounts",
    "allocations": "jobs without their steps", "allclusters": "of all clusters: of this one",
    "completion": "always an error, as in Slurm without a completion plugin", "file": "always an error: the history is no file",
    "brief": "id, state and exit code only", "delimiter": "instead of `|` with `-p` and `-P`",
    "duplicates": "also runs that were cut off by a requeue", "gid": "of these groups", "group": "of these groups",
    "helpformat": "print the names of all fields", "jobs": "these jobs or steps", "local": "accepted: there is one cluster",
    "long": "nearly every field", "nodelist": "on these nodes", "noconvert": "sizes as they are kept",
    "timelimit-min": "with this time limit; with `-K` at least this", "timelimit-max": "with `-k`: at most this",
    "truncate": "start and end no further than `-S` and `-E`",
    "ncpus": "with so many CPUs, or `2-8`",
    "nnodes": "with so many nodes, or `2-8`", "noheader": "without the header", "format": "fields: `jobid,state%20,jobname%-30`",
    "name": "of these names", "parsable": "fields end with `|`", "parsable2": "`|` between fields", "qos": "of these QOS",
    "partition": "in these partitions", "state": "in these states within the time", "starttime": "from then on (default: today, 00:00)",
    "endtime": "up to then (default: now)", "uid": "of these users", "user": "of these users",
    "units": "sizes in this unit: `K`, `M`, `G`, `T`, `P`",
    "associations": "charged to these associations, by their numbers", "env-vars": "what the scripts of jobs in memory were given",
    "flags": "that began so: SchedMain, SchedBackfill, SchedSubmit", "reason": "that waited (or ended) for one of these reasons",
    "batch-script": "the scripts of jobs that are still in memory", "clusters": "of these clusters; there is one",
    "cluster": "as `--clusters`",
    "federation": "accepted: there is one cluster", "constraints": "that asked for all of these features",
    "wckeys": "none match: there are no wckeys",
    "use-local-uid": "accepted: user ids are local", "whole-hetjob": "accepted: there are no heterogeneous jobs",
}  # fmt: skip

SSTAT = _HELP | {
    "allsteps": "all steps of a job, its script too", "helpformat": "print the names of all fields",
    "pidformat": "the processes on each node", "noheader": "without the header",
    "jobs": "these jobs (of each the step with the lowest number) or steps: `42`, `42_7`, `42.0`, `42.batch`",
    "format": "fields: `jobid,maxrss%12`", "noconvert": "sizes as they are measured", "parsable": "fields end with `|`",
    "parsable2": "`|` between fields",
}  # fmt: skip

SEFF = {
    "d": "first the figures that the report is made of",
    "h": "print the options",
    "v": "print the version of the report's form",
}

SREPORT = _HELP | {
    "all_clusters": "accepted: there is one cluster", "clusters": "of these clusters; there is one",
    "federation": "accepted: there is one cluster", "local": "accepted: there is one cluster", "immediate": "accepted: nothing is changed",
    "noheader": "without the head", "parsable": "fields end with `|`", "parsable2": "`|` between fields",
    "quiet": "accepted: it says no more",
    "time": "`Minutes`, `Seconds`, `Hours`, `Percent`, `SecPer`, `MinPer`, `HourPer`",
    "tres": "of these resources: `cpu,mem,gres/gpu`, or `ALL`",
}  # fmt: skip

SCANCEL = _HELP | {
    "account": "of this account", "batch": "the signal goes to the batch shell only", "ctld": "accepted: the controller always sends it",
    "full": "the signal goes to the batch shell and all steps", "cron": "also jobs of crontabs, whose lines are not carried out any more",
    "interactive": "ask before each", "jobname": "of this name", "me": "your own", "name": "of this name",
    "nodelist": "on these nodes", "partition": "in this partition", "qos": "of this QOS", "quiet": "say nothing of jobs that are over",
    "reservation": "only jobs of this reservation", "signal": "send this instead of ending the job",
    "state": "in this state: PENDING, RUNNING or SUSPENDED", "user": "of this user", "wckey": "with this workload characterization key",
}  # fmt: skip

SCONTROL = _HELP | {
    "all": "also hidden partitions", "details": "`show job` with the CPUs, memory and GPUs on each node", "hide": "not hidden partitions",
    "local": "accepted: there is one cluster", "oneliner": "one line per thing", "quiet": "say only errors",
}  # fmt: skip

SACCTMGR = _HELP | {
    "immediate": "do it without asking", "noheader": "without the header", "oneliner": "accepted: a record is one line",
    "parsable": "fields end with `|`", "parsable2": "`|` between fields", "quiet": "say only errors", "readonly": "change nothing",
    "associations": "accounts and users with their associations",
}  # fmt: skip

SATTACH = _HELP | {
    "error-filter": "only this task's standard error", "input-filter": "what is typed goes to this task only",
    "label": "the task's number before each line", "layout": "which tasks are on which node, and no more",
    "output-filter": "only this task's standard output", "pty": "the terminal passes on every key as it is pressed",
    "quiet": "say only errors",
}  # fmt: skip

SDIAG = _HELP | {
    "all": "all figures (the default)", "cluster": "of this cluster: its own name", "reset": "operators: begin counting anew",
    "sort-by-id": "requests by their numbers", "sort-by-time": "requests by the time they took together",
    "sort-by-time2": "requests by the time they took each",
}  # fmt: skip

SPRIO = _HELP | {
    "jobs": "these jobs", "local": "accepted: there is one cluster", "long": "more columns",
    "norm": "shares from 0 to 1, before their weights",
    "format": "columns by letter: `%[.][width]letter ...`", "partition": "in these partitions",
    "sort": "by these letters, `-` before one reverses it", "user": "of these users", "weights": "only the weights",
}  # fmt: skip

SCRONTAB = {
    "edit": "with $VISUAL or $EDITOR; so also without options at a terminal", "list": "print it", "remove": "no crontab any more",
    "user": "that of another user (administrators)", "verbose": "accepted",
}  # fmt: skip

STRIGGER = _HELP | {
    "set": "have a program run", "get": "show what is set", "clear": "and take it back: by `--id`, `--jobid` or `--user`",
    "primary_slurmctld_failure": "a controller begins again: the one before had gone",
    "primary_slurmctld_resumed_operation": "the same",
    "down": "a node goes down", "up": "and comes back", "drained": "a node is drained and nothing runs on it any more",
    "fail": "a node is set to `State=FAIL`",
    "idle": "a node has had no job for as long as `--offset` says", "reconfig": "the configuration is read anew",
    "fini": "the job is over", "time": "its time limit; `--offset=-300`: five minutes before it",
    "flags": "`PERM`: again and again", "id": "the trigger's number", "jobid": "of this job, or of its nodes",
    "node": "of these nodes; without a value of all", "noheader": "no header", "offset": "seconds after it",
    "program": "a full path, with arguments; the job or the nodes follow", "quiet": "no error where there is nothing to clear",
    "user": "set by this user", "verbose": "say more",
}  # fmt: skip

SSHARE = _HELP | {
    "all": "all users", "accounts": "these accounts", "helpformat": "print the names of all fields", "long": "nearly every field",
    "partition": "also the partition of an association", "clusters": "this cluster's name", "noheader": "without the header",
    "format": "fields: `account,user%20,fairshare`", "parsable": "fields end with `|`", "parsable2": "`|` between fields",
    "users": "these users", "Users": "users only", "verbose": "also what was asked for",
}  # fmt: skip

SBCAST = _HELP | {
    "compress": "the file is packed on its way; `none`: it is not", "exclude": "`--send-libs` leaves out libraries in these places",
    "fanout": "without effect: the message server sends to all nodes at once", "force": "replace what is there",
    "jobid": "to the nodes of this job", "preserve": "with its times, and its owner where the user may give it",
    "send-libs": "the libraries that the program is linked with go to `DEST_libs`", "size": "read so much at a time",
    "timeout": "seconds that it may take",
}  # fmt: skip

BY_COMMAND = {
    "strigger": STRIGGER,
    "scrontab": SCRONTAB,
    "squeue": SQUEUE,
    "sinfo": SINFO,
    "sacct": SACCT,
    "sstat": SSTAT,
    "seff": SEFF,
    "sreport": SREPORT,
    "scancel": SCANCEL,
    "scontrol": SCONTROL,
    "sacctmgr": SACCTMGR,
    "sshare": SSHARE,
    "sattach": SATTACH,
    "sbcast": SBCAST,
    "sdiag": SDIAG,
    "sprio": SPRIO,
}
