"""`corral`: start, stop and look after a cluster."""

from __future__ import annotations

import importlib

from corral.cli.run import Exit, Program
from corral.cli.run import main as run_main

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import NoReturn

#: Each verb: the module that knows it, and what it does.
VERBS = {
    "up": ("up", "start a cluster on this machine, or what is missing of it"),
    "down": ("down", "end its jobs and stop it; what it knows stays"),
    "status": ("status", "what runs, what the cluster has, what is not enforced"),
    "top": ("top", "jobs, nodes and GPUs in a terminal, as they are now"),
    "port-forward": ("forward", "reach a port of a job's node from here"),
    "proxy": ("proxy", "an address at the controller that shows a job's HTTP port in a browser"),
    "notebook": ("notebook", "JupyterLab in a job, reached here"),
    "ssh": ("into:ssh", "a shell in a running job"),
    "logs": ("kube.logs", "what a job, or a Pod's containers, have written, also while they run"),
    "attach": ("into:attach", "see and type into a running step"),
    "cp": ("into:cp", "copy files into a running job, and out of it"),
    "code": ("into:code", "what VS Code's Remote-SSH needs to open a job"),
    "image": ("image", "show the images on nodes; fetch them before jobs need them; remove them"),
    "serve": ("kube.serve", "run a program as a service: replicas behind one URL"),
    "get": ("kube.get", "objects of Kubernetes' kinds: pods, deployments, services ..."),
    "apply": ("kube.apply", "make them as manifests say"),
    "delete": ("kube.delete", "delete them, and what they own"),
    "describe": ("kube.describe", "all about an object, and what has happened to it"),
    "create": ("kube.create", "make a namespace, configmap, secret, deployment, job ..."),
    "diff": ("kube.diff", "what an apply would change"),
    "edit": ("kube.edit", "change an object in an editor"),
    "exec": ("kube.execute", "a command in a Pod's container"),
    "scale": ("kube.scale", "how many replicas"),
    "rollout": ("kube.rollout", "status, undo, history, pause, resume, restart of an update"),
    "pipeline": ("kube.pipeline", "begin a run of a Pipeline, see how it fares, stop it"),
    "label": ("kube.label:label", "put labels on objects"),
    "taint": ("kube.taint:taint", "keep Pods that do not tolerate it from a node"),
    "cordon": ("kube.taint:cordon", "a node takes no more Pods and jobs"),
    "uncordon": ("kube.taint:uncordon", "it takes them again"),
    "annotate": ("kube.label:annotate", "put annotations on objects"),
    "wait": ("kube.waiting", "until a condition holds"),
    "explain": ("kube.explain", "what a kind or a field of it is"),
    "api-resources": ("kube.resources", "which kinds there are"),
    "kubeconfig": ("kube.config", "print what kubectl needs to reach the cluster"),
    "why": ("why", "say why jobs wait, and what would let them start sooner; why a node is idle"),
    "snapshot": ("snapshot", "write the state that decides about jobs as JSON"),
    "controller": ("controller", "run a controller in the foreground"),
    "agent": ("agent", "run a node's agent in the foreground"),
    "gateway": ("gateway", "run a gateway to services in the foreground"),
    "systemd": ("systemd", "print a unit that lets systemd run one of these three"),
    "token": ("token", "make credentials for a node or a user"),
    "simulate": ("simulate", "what would become of a workload, under this policy or that one"),
    "import-slurm": ("import_slurm", "turn a slurm.conf into a corral.toml"),
    "version": ("version", "print the version"),
}


def usage() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:{width}}  {what}" for verb, (_, what) in VERBS.items()]
    return "\n".join(
        [
            "usage: corral VERB [OPTIONS]",
            "",
            *lines,
            "",
            "`corral VERB --help` says more. Jobs: sbatch, srun, squeue, ...",
        ]
    )


def body(arguments: list[str]) -> int:
    verb, *rest = arguments or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(usage())
        return 0
    if verb in ("-V", "--version"):
        verb = "version"
    if verb not in VERBS:
        raise Exit(2, f"corral: there is no verb {verb!r}", usage())
    place, _, function = VERBS[verb][0].partition(":")
    module = importlib.import_module(f"corral.cli.corral.{place}")
    status: int = getattr(module, function or "main")(rest)
    return status


def main() -> NoReturn:
    run_main(Program("corral"), body)
