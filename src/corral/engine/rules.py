"""Which limits hold for a job: of its QOS, of its partition's QOS, of its association and of those above?

As Slurm has it: what one QOS sets, no other and no association says differently. The partition's QOS goes first, unless the job's
has the flag OverPartQOS.
"""

from corral.engine.books import Books
from corral.model.account import Limits, Tres
from corral.model.qos import Qos, QosLimits
from corral.model.reason import Reason
from corral.scheduler.quota import NO_RULES, Bucket, Rule, Rules

_KINDS = {"cpu": "Cpu", "mem": "Mem", "node": "Node", "billing": "Billing", "energy": "Energy"}
_NO_LIMITS, _NO_QOS_LIMITS = Limits(), QosLimits()
#: Flags of a QOS -> which limit of the partition does not hold.
_IGNORES = {"PartitionTimeLimit": "time", "PartitionMaxNodes": "max_nodes", "PartitionMinNodes": "min_nodes"}


#: MaxTRESRunMins of a user or an account: Slurm keeps them, but has no word for them.
_RUN, _RUN_OF_ACCOUNT = "MaxRunMinutes", "MaxRunMinutesPerAccount"


def charged(qos: Qos) -> float:
    """What a minute of its jobs counts for where they must be able to end within their minutes."""
    return qos.usage_factor if "UsageFactorSafe" in qos.flags else 1.0


def ignored(books: Books, names: tuple[str, ...]) -> frozenset[str]:
    """Which limits of the partition do not hold with these QOS?"""
    flags = [flag for name in names if name in books.qos for flag in books.qos[name].flags]
    return frozenset(_IGNORES[flag] for flag in flags if flag in _IGNORES)


def bucket_of(association: int) -> Bucket:
    return ("association", str(association))


def buckets(books: Books, association: int, qos: tuple[str, ...], user: str, account: str) -> tuple[Bucket, ...]:
    """Where a job counts."""
    found: list[Bucket] = [bucket_of(number) for number in books.chain(association)] if association else []
    for name in qos:
        found += [("qos", name), ("user", name, user), ("account", name, account)]
    return tuple(found)


class RuleBook:
    """Rules made once for all jobs of one association, QOS and user; equal ones are one object."""

    def __init__(self, books: Books, limits: bool, safe: bool) -> None:
        self.books = books
        self.version = books.rules_version
        self.limits = limits  #: are they enforced?
        self.safe = safe
        self._known: dict[tuple[int, tuple[str, ...], str], Rules] = {}
        self._same: dict[Rules, Rules] = {}

    def of(self, association: int, qos: tuple[str, ...], user: str) -> Rules:
        """`qos`: those that exist, of the partition first."""
        if not association and not qos:
            return NO_RULES
        key = (association, qos, user)
        found = self._known.get(key)
        if found is None:
            made = self._made(association, qos, user)
            found = self._known[key] = self._same.setdefault(made, made)
        return found

    def _made(self, association: int, names: tuple[str, ...], user: str) -> Rules:
        books = self.books
        chosen = [books.qos[name] for name in names if name in books.qos]
        over = [qos for qos in chosen if "OverPartQOS" in qos.flags]
        ordered = over + [qos for qos in chosen if qos not in over]
        flags = {flag for qos in ordered for flag in qos.flags}
        ignores = ignored(books, names)
        reserves = "NoReserve" not in flags
        if not self.limits:
            return Rules(ignores=ignores, reserves=reserves)
        found = _Rules(books, association, ordered, chosen[-1] if chosen else None, user)
        own = books.associations.get(association)
        account = own.account if own is not None else ""
        return Rules(
            buckets=tuple(
                one for one in buckets(books, association, names, user, account) if self._counts(one, found.used)
            ),
            submitted=tuple(found.submitted),
            jobs=tuple(found.jobs),
            tres=tuple(found.tres),
            run_minutes=tuple(found.run_minutes),
            minutes=tuple(found.minutes),
            wall=tuple(found.wall),
            per_job=tuple(found.per_job),
            per_node=tuple(found.per_node),
            minutes_per_job=tuple(found.minutes_per_job),
            least=tuple(found.least),
            longest=tuple(found.longest),
            threshold=tuple(found.threshold),
            accruing=tuple(found.accruing),
            safe=self.safe,
            usage_factor=charged(chosen[-1]) if chosen else 1.0,
            deny="DenyOnLimit" in flags,
            reserves=reserves,
            min_priority=found.min_priority,
            ignores=ignores,
        )

    def _counts(self, bucket: Bucket, used: list[Bucket]) -> bool:
        """Has it any limit? If not of this job (a QOS may say otherwise), then of others."""
        if bucket in used:
            return True
        if bucket[0] == "association":
            return self.books.associations[int(bucket[1])].limits != _NO_LIMITS
        return self.books.qos[bucket[1]].limits != _NO_QOS_LIMITS


class _Rules:
    """Collects them."""

    def __init__(self, books: Books, association: int, ordered: list[Qos], jobs_own: Qos | None, user: str) -> None:
        self.submitted: list[Rule] = []
        self.jobs: list[Rule] = []
        self.tres: list[Rule] = []
        self.run_minutes: list[Rule] = []
        self.minutes: list[Rule] = []
        self.wall: list[Rule] = []
        self.per_job: list[Rule] = []
        self.per_node: list[Rule] = []
        self.minutes_per_job: list[Rule] = []
        self.least: list[Rule] = []
        self.longest: list[Rule] = []
        self.accruing: list[Rule] = []
        self.threshold: list[Rule] = []
        self.factor = 1.0  #: of the association's amounts (LimitFactor)
        self.min_priority = 0
        self.used: list[Bucket] = []
        self._seen: set[tuple[str, str]] = set()
        own = books.associations.get(association)
        self._account = own.account if own is not None else ""
        self._user = user
        self._leaf = bucket_of(association) if own is not None else None
        self._jobs_own = jobs_own
        for qos in ordered:
            self._of_qos(qos)
        if own is not None:
            self._of_associations(books, association)

    def _first(self, kind: str, resource: str = "") -> bool:
        """Has no QOS before set it?"""
        if (kind, resource) in self._seen:
            return False
        self._seen.add((kind, resource))
        return True

    def _add(self, to: list[Rule], bucket: Bucket, name: str, limit: float, reason: str, resource: str = "") -> None:
        to.append(Rule(bucket, limit, Reason(reason), resource, name))
        if bucket not in self.used:
            self.used.append(bucket)

    def _of_qos(self, qos: Qos) -> None:
        limits = qos.limits
        whole: Bucket = ("qos", qos.name)
        user: Bucket = ("user", qos.name, self._user)
        account: Bucket = ("account", qos.name, self._account)
        numbers: tuple[tuple[str, str, int | None, list[Rule], Bucket, str], ...] = (
            ("grp_submit", "GrpSubmitJobs", limits.grp_submit, self.submitted, whole, "QOSGrpSubmitJobsLimit"),
            ("max_submit_pa", "MaxSubmitJobsPerAccount", limits.max_submit_pa, self.submitted, account, "MaxSubmitJobsPerAccount"),
            ("max_submit", "MaxSubmitJobsPerUser", limits.max_submit_pu, self.submitted, user, "QOSMaxSubmitJobPerUserLimit"),
            ("grp_jobs", "GrpJobs", limits.grp_jobs, self.jobs, whole, "QOSGrpJobsLimit"),
            ("max_jobs_pa", "MaxJobsPerAccount", limits.max_jobs_pa, self.jobs, account, "MaxJobsPerAccount"),
            ("max_jobs", "MaxJobsPerUser", limits.max_jobs_pu, self.jobs, user, "QOSMaxJobsPerUserLimit"),
            ("grp_wall", "GrpWall", limits.grp_wall, self.wall, whole, "QOSGrpWallLimit"),
            ("max_wall", "MaxWall", limits.max_wall, self.longest, whole, "QOSMaxWallDurationPerJobLimit"),
        )  # fmt: skip
        if qos is self._jobs_own:  # how many grow older says the QOS of the job alone
            numbers += (
                ("grp_accrue", "GrpJobsAccrue", limits.grp_jobs_accrue, self.accruing, whole, "None"),
                ("max_accrue_pa", "MaxJobsAccruePerAccount", limits.max_jobs_accrue_pa, self.accruing, account, "None"),
                ("max_accrue", "MaxJobsAccruePerUser", limits.max_jobs_accrue_pu, self.accruing, user, "None"),
            )
        for kind, name, limit, to, bucket, reason in numbers:
            if limit is not None and self._first(kind):
                self._add(to, bucket, name, limit, reason)
        amounts: tuple[tuple[str, str, Tres, list[Rule], Bucket], ...] = (
            ("QOSGrp", "GrpTRES", limits.grp_tres, self.tres, whole),
            ("QOSGrpMinutes", "GrpTRESMins", limits.grp_tres_mins, self.minutes, whole),
            ("QOSGrpRunMinutes", "GrpTRESRunMins", limits.grp_tres_run_mins, self.run_minutes, whole),
            (_RUN, "MaxTRESRunMinsPerUser", limits.max_tres_run_mins_pu, self.run_minutes, user),
            (_RUN_OF_ACCOUNT, "MaxTRESRunMinsPerAccount", limits.max_tres_run_mins_pa, self.run_minutes, account),
            ("QOSMaxPerUser", "MaxTRESPerUser", limits.max_tres_pu, self.tres, user),
            ("MaxPerAccount", "MaxTRESPerAccount", limits.max_tres_pa, self.tres, account),
            ("QOSMaxPerJob", "MaxTRESPerJob", limits.max_tres, self.per_job, whole),
            ("QOSMaxPerNode", "MaxTRESPerNode", limits.max_tres_per_node, self.per_node, whole),
            ("QOSMaxMinutesPerJob", "MaxTRESMinsPerJob", limits.max_tres_mins, self.minutes_per_job, whole),
            ("QOSMin", "MinTRESPerJob", limits.min_tres, self.least, whole),
        )
        for kind, name, tres, to, bucket in amounts:
            for resource, limit in tres.items():
                if self._first(kind.removeprefix("QOS"), resource):
                    self._add(to, bucket, name, limit, word(kind, resource), resource)
        if limits.min_priority is not None and self._first("min_priority"):
            self.min_priority = limits.min_priority
        threshold = qos.usage_threshold if "EnforceUsageThreshold" in qos.flags else None
        if threshold is not None and self._leaf is not None and self._first("usage_threshold"):
            self._add(self.threshold, self._leaf, "UsageThreshold", threshold, "QOSUsageThreshold")
        if qos.limit_factor is not None and self._first("limit_factor"):
            self.factor = qos.limit_factor

    def _of_associations(self, books: Books, association: int) -> None:
        seen = set(self._seen)
        leaf = bucket_of(association)
        limits = books.effective(association).limits
        for kind, name, limit, to, reason in (
            ("max_submit", "MaxSubmitJobs", limits.max_submit, self.submitted, "AssocMaxSubmitJobLimit"),
            ("max_jobs", "MaxJobs", limits.max_jobs, self.jobs, "AssocMaxJobsLimit"),
            ("max_wall", "MaxWall", limits.max_wall, self.longest, "AssocMaxWallDurationPerJobLimit"),
            ("max_accrue", "MaxJobsAccrue", limits.max_jobs_accrue, self.accruing, "None"),
        ):
            if limit is not None and (kind, "") not in seen:
                self._add(to, leaf, name, limit, reason)
        for kind, name, tres, to in (
            ("AssocMaxPerJob", "MaxTRESPerJob", limits.max_tres, self.per_job),
            (_RUN, "MaxTRESRunMins", limits.max_tres_run_mins, self.run_minutes),
            ("AssocMaxPerNode", "MaxTRESPerNode", limits.max_tres_per_node, self.per_node),
            ("AssocMaxMinutesPerJob", "MaxTRESMinsPerJob", limits.max_tres_mins, self.minutes_per_job),
        ):
            for resource, limit in tres.items():
                if (kind.removeprefix("Assoc"), resource) not in seen:
                    is_minutes = to is self.minutes_per_job or to is self.run_minutes
                    most = limit if is_minutes else int(limit * self.factor)
                    self._add(to, leaf, name, most, word(kind, resource), resource)
        if limits.min_priority is not None and ("min_priority", "") not in seen:
            self.min_priority = limits.min_priority
        for number in books.chain(association):
            own = books.associations[number].limits
            bucket = bucket_of(number)
            for kind, name, limit, to, reason in (
                ("grp_submit", "GrpSubmitJobs", own.grp_submit, self.submitted, "AssocGrpSubmitJobsLimit"),
                ("grp_jobs", "GrpJobs", own.grp_jobs, self.jobs, "AssocGrpJobsLimit"),
                ("grp_wall", "GrpWall", own.grp_wall, self.wall, "AssocGrpWallLimit"),
                ("grp_accrue", "GrpJobsAccrue", own.grp_jobs_accrue, self.accruing, "None"),
            ):
                if limit is not None and (kind, "") not in seen:
                    self._add(to, bucket, name, limit, reason)
            for kind, name, tres, to in (
                ("AssocGrp", "GrpTRES", own.grp_tres, self.tres),
                ("AssocGrpMinutes", "GrpTRESMins", own.grp_tres_mins, self.minutes),
                ("AssocGrpRunMinutes", "GrpTRESRunMins", own.grp_tres_run_mins, self.run_minutes),
            ):
                for resource, limit in tres.items():
                    if (kind.removeprefix("Assoc"), resource) not in seen:
                        most = int(limit * self.factor) if to is self.tres else limit
                        self._add(to, bucket, name, most, word(kind, resource), resource)


def word(kind: str, resource: str) -> str:
    """Slurm's word: AssocGrpCpuLimit, QOSGrpCPUMinutesLimit, AssocMaxMemPerJob, QOSMaxGRESPerUser ..."""
    if kind in (_RUN, _RUN_OF_ACCOUNT):
        return "AccountingPolicy"
    what = _KINDS.get(resource) or (
        "GRES" if resource.startswith("gres/") else "License" if resource.startswith("license/") else "Unknown"
    )
    cpu = what == "Cpu"
    memory = "Memory" if what == "Mem" else what
    match kind:
        case "AssocGrp" | "QOSGrp":
            return f"{kind}{what}" + ("Limit" if what in ("Cpu", "Mem", "Node") else "")
        case "AssocGrpMinutes" | "AssocGrpRunMinutes" | "QOSGrpMinutes" | "QOSGrpRunMinutes":
            head, tail = kind[: kind.index("Grp") + 3], kind[kind.index("Grp") + 3 :]
            name = "CPU" if cpu else memory if head == "QOSGrp" else what
            return f"{head}{name}{tail}" + ("Limit" if cpu else "")
        case "AssocMaxPerJob" | "QOSMaxPerJob":
            name = what if kind.startswith("Assoc") else memory
            return f"{kind[:-6]}{name}PerJob" + ("Limit" if what in ("Cpu", "Node") else "")
        case "AssocMaxPerNode" | "QOSMaxPerNode":
            name = what if kind.startswith("Assoc") else memory
            return f"{kind[:-7]}{'Unknown' if what == 'Node' else name}PerNode"
        case "AssocMaxMinutesPerJob" | "QOSMaxMinutesPerJob":
            name = what if kind.startswith("Assoc") else memory
            return f"{kind[:-13]}{name}MinutesPerJob" + ("Limit" if cpu else "")
        case "QOSMaxPerUser":
            return f"QOSMax{memory}PerUser" + ("Limit" if what in ("Cpu", "Node") else "")
        case "MaxPerAccount":
            return f"Max{memory}PerAccount"
        case _:
            return "QOSMinCpuNotSatisfied" if cpu else f"QOSMin{memory}"
