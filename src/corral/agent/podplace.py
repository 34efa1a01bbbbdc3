"""Where on its node is what a Pod has for itself?"""

from corral.agent.boxes import of_job


def pod_place(boxes: str, node: str, job: int, restart: int) -> str:
    return f"{of_job(boxes, node, job, restart)}/.pod"
