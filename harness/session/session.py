"""The public Python API: one session that runs and judges, and does what plugins add, such as to train and decide."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.session.opened import Opened, keep_libraries_offline
from harness.session.options import CandidateOptions, RunOptions, SessionOptions, require_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.evaluation.panel import Panel
    from harness.evaluation.prepare import PreparedSuite, SuiteOptions
    from harness.evaluation.roles import Asking
    from harness.evaluation.runner import Setting, SuiteRun
    from harness.reading.config import Config
    from harness.session.results import RunResult
    from harness.types import (
        Candidate,
        Policy,
        RoleRef,
        RunSpec,
    )


def open_session(
    workspace: str | Path = ".",
    *,
    config: str | Path | Config | None = None,
    plugins: str | Path | Sequence[str | Path] = (),
    **options: Any,  # noqa: ANN401 - fields of a record, checked by name
) -> Session:
    """Open a project folder, or a workspace in it: `harness.open(".")`.

    Args:
        workspace: the project's folder, whose harness.yaml holds; or the workspace itself (`.harness`).
        config: another harness.yaml, or its record, instead of the folder's.
        plugins: folders, files, modules or `no:NAME`, as for `-p`.
        options: further fields of `SessionOptions`, such as `seed` and `offline`.

    Raises:
        InputError: for a folder that is not there, an unknown option, or a harness.yaml that cannot be read.
    """
    from harness.reading.config import read_config_file
    from harness.store.workspace import MARKER

    place = Path(workspace).expanduser().resolve()
    if not place.is_dir():
        raise InputError("there is no such folder", file=place, hint="name the project's folder, or make it first")
    require_fields(SessionOptions, options)
    named = {"folder": place.parent, "workspace": place} if (place / MARKER).is_file() else {"folder": place}
    if isinstance(config, str | Path):
        config = read_config_file(Path(config).expanduser().resolve())
    chosen = (plugins,) if isinstance(plugins, str | Path) else plugins
    if options.get("offline"):
        keep_libraries_offline()
    return Session(SessionOptions(**{**named, "config": config, "plugins": tuple(map(str, chosen)), **options}))


class Session(Opened):
    """Runs and judges in one workspace; plugins add jobs, such as `train` and `decide`. Nothing is loaded too early."""

    # ------------------------------------------------------------ suites

    def candidate(self, options: CandidateOptions) -> Candidate:
        """Return who is judged.

        Raises:
            InputError: when the base, an adapter or the template is not there or not whole.
        """
        from harness.evaluation.resolve import promoted_candidate, resolve_base, resolve_candidate
        from harness.reading.files import read_text
        from harness.store.adapters import PROMOTED, resolve_adapters

        reference = self.config.model if options.model is None else options.model
        template = options.template
        if template not in {"auto", "none"}:
            template = read_text(self._path(template), what="chat template")
        names = [self.reference(name) for name in options.adapters]
        if reference == PROMOTED:
            whole = promoted_candidate(self.workspace)
            added = resolve_adapters([name for name in names if name != PROMOTED], self.workspace)
            return replace(
                whole, adapters=(*whole.adapters, *added),
                system=whole.system if options.system is None else options.system,
                template=whole.template if template == "auto" else template,
            )  # fmt: skip
        reference = self._made_model(reference)
        base = resolve_base(reference, self.plugins.registries, dtype=options.dtype, device=options.device)
        return resolve_candidate(base, names, self.writable_workspace(), system=options.system, template=template)

    def _made_model(self, reference: str) -> str:
        """Return the folder of a model that a stage made, where the reference is its id or the beginning of one."""
        from harness.store.artifacts import artifact_folder, ids

        digits = len(reference) >= 4 and set(reference) <= set("0123456789abcdef")
        if not digits or not self.workspace_path.is_dir():
            return reference
        meant = [name for name in ids(self.workspace, "model") if name.startswith(reference)]
        return str(artifact_folder(self.workspace, "model", meant[0])) if len(meant) == 1 else reference

    def prepare(
        self, suites: Sequence[str], candidate: Candidate, options: RunOptions, *, open_only: bool = False
    ) -> list[PreparedSuite]:
        """Return suites read and checked, with their plugins made and nothing loaded.

        With `open_only`, samples by which a policy decides are left out.

        Raises:
            InputError: for what cannot work, naming file, line, key and cause.
        """
        from harness.evaluation.constitutions import named_rules
        from harness.evaluation.prepare import SuiteOptions, prepare_suite

        if options.data is not None and len(suites) > 1:
            raise InputError(
                "--data replaces one suite's data file, and several suites are named", hint="run them singly"
            )
        registries = self.plugins.registries
        asked = SuiteOptions(
            limit=options.limit, data=None if options.data is None else self._path(options.data),
            principles=options.principles, gates=None if options.gates else (), adapters=candidate.adapters,
            changes=options.changes(),
            constitution=named_rules(registries, self.options.folder, options.principles, options.constitution),
        )  # fmt: skip
        names = [self.reference(suite) for suite in suites]
        if not open_only:
            return [prepare_suite(name, registries, self.context, asked) for name in names]
        return [self._prepare_open(name, asked) for name in names]

    def _prepare_open(self, name: str, asked: SuiteOptions) -> PreparedSuite:
        from harness.evaluation.halves import choose_open, open_half
        from harness.evaluation.policies import as_written
        from harness.evaluation.prepare import prepare_suite, resolve_suite

        registries = self.plugins.registries
        draws = self.workspace.ledger.entries("draw") if self.workspace_path.is_dir() else ()
        known = as_written(self.config, registries, {entry.body["policy"] for entry in draws})
        half = open_half(known, resolve_suite(name, registries), registries)
        if half is None or asked.data is not None:
            return prepare_suite(name, registries, self.context, asked)
        choose = choose_open(half[0], asked.limit, self.context.seed, name=name, policy=half[1])
        found = prepare_suite(name, registries, self.context, replace(asked, choose=choose))
        note = f"a look at {len(found.samples)} open samples of {found.samples.available}: by others decides {half[1]}"
        return replace(found, note=note)

    def run_suites(self, suites: Sequence[str], candidate: Candidate, options: RunOptions) -> tuple[SuiteRun, ...]:
        """Run suites on a candidate, as `run` does; warnings are handed on.

        Raises:
            InputError: for what cannot work, before a model is loaded.
            BrokenRunError: when a run breaks; replies so far are kept.
        """
        from harness.evaluation.runner import run_suites

        self.require_plugins()
        self.declare_policies()
        prepared = self.prepare(suites, candidate, options, open_only=True)
        spec = self.spec(suites, candidate, options)
        with self.workspace.working("harness run"), self.setting(spec, options) as setting:
            outcomes = run_suites(prepared, candidate, setting, baseline=options.baseline)
        for warning in dict.fromkeys(warning for outcome in outcomes for warning in outcome.warnings):
            self.warn(warning)
        return outcomes

    def run(
        self, suite: str, *, adapter: str | Path | Sequence[str | Path] = (), model: str | None = None,
        system: str | None = None, **options: object,
    ) -> RunResult:  # fmt: skip
        """Run one suite on a model with adapters, and check its gates.

        Args:
            suite: a registered name or the path of a YAML file.
            adapter: one adapter or several, which compose: folders, ids or `promoted`.
            model: the base; None is that of harness.yaml.
            system: a system prompt.
            options: fields of `RunOptions`, such as `limit`, `baseline` and `judge`.

        Raises:
            InputError: for what cannot work, before a model is loaded.
            BrokenRunError: when the run breaks; replies so far are kept.
        """
        from harness.session.results import RunResult

        asked = RunOptions.of(**options)
        candidate = self.candidate(CandidateOptions.of(adapter, model=model, system=system))
        (outcome,) = self.run_suites([suite], candidate, asked)
        return RunResult(record=outcome.run, baselines=outcome.baselines, workspace=self.workspace)

    def policy(self, name: str | None = None) -> Policy:
        """Return a policy by its name; None is the folder's.

        Raises:
            InputError: when there is none of that name, or it cannot be read.
        """
        from harness.evaluation.policies import default_policy, find_policy

        registries = self.plugins.registries
        return default_policy(self.config, registries) if name is None else find_policy(name, self.config, registries)

    # ------------------------------------------------------------ what plugins add

    def job(self, name: str) -> Callable[..., Any]:
        """Return a job that a plugin registered, such as `train`, for this session; `session.train` is the same.

        Raises:
            InputError: with the nearest name, where no plugin in use registers it.
        """
        job = self.plugins.registries.jobs.get(name)
        return wraps(job)(partial(job, self))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a job as a method."""
        if name.startswith("_") or name not in self.plugins.registries.jobs:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.job(name)

    def __dir__(self) -> list[str]:
        """List the jobs of plugins, too."""
        return sorted({*super().__dir__(), *(job.name for job in self.plugins.registries.jobs)})

    # ------------------------------------------------------------ critics

    @contextmanager
    def judging(
        self, options: RunOptions, policy: Candidate | None = None,
        own: Mapping[str, RoleRef] = MappingProxyType({}),
    ) -> Iterator[Callable[[Panel], Asking]]:  # fmt: skip
        """Give what asks a panel's roles, with bars, for the length of a `with` block; no workspace is made for it.

        Args:
            options: whose `judge` and `roles` count.
            policy: the candidate; None is the bare base of harness.yaml.
            own: who else binds roles, such as a suite; the options' own come first.
        """
        from contextlib import ExitStack

        from harness.evaluation.pool import ModelPool
        from harness.evaluation.resolve import resolve_base
        from harness.evaluation.roles import Asking, in_order, resolve_roles
        from harness.store.cache import Cache
        from harness.types import Candidate

        workspace = self.workspace if self.workspace_path.is_dir() else None
        registries, refs = self.plugins.registries, in_order(self.roles(options), own)
        with ExitStack() as stack:
            cache = None if workspace is None else stack.enter_context(Cache(workspace.cache_path))
            pool = stack.enter_context(ModelPool(registries, self.context, cache, stack.enter_context(self.progress())))
            base = policy or Candidate(model=resolve_base(self.config.model, registries))
            yield lambda panel: Asking(
                roles=resolve_roles(panel.roles, refs, base, registries=registries, workspace=workspace), pool=pool,
                label="judge",
            )  # fmt: skip

    # ------------------------------------------------------------ what the commands build on

    def spec(self, suites: Sequence[str], candidate: Candidate, options: RunOptions) -> RunSpec:
        """Return what was asked, for the observers."""
        from harness.types import RunSpec

        return RunSpec(
            suites=tuple(suites), model=candidate.model.reference,
            adapters=tuple(adapter.reference for adapter in candidate.adapters), baseline=options.baseline,
            roles=self.roles(options), principles=options.principles, limit=options.limit, seed=self.options.seed,
            offline=self.options.offline, constitution=options.constitution,
            data=None if options.data is None else str(options.data),
        )  # fmt: skip

    def bare_spec(self) -> RunSpec:
        """Return what is asked for where no suite is run yet: the base and roles of harness.yaml."""
        from harness.types import RunSpec

        return RunSpec(
            suites=(), model=self.config.model, roles=self.config.roles, seed=self.options.seed,
            offline=self.options.offline,
        )  # fmt: skip

    @contextmanager
    def setting(self, spec: RunSpec, options: RunOptions | None = None) -> Iterator[Setting]:
        """Give what every suite of one invocation shares, with bars for the length of a `with` block."""
        from harness.evaluation.runner import Setting

        with self.progress() as progress:
            yield Setting(
                plugins=self.plugins, workspace=self.writable_workspace(), context=self.context,
                progress=progress, spec=spec, precision_check=None if options is None else options.precision_check,
            )  # fmt: skip

    def roles(self, options: RunOptions) -> dict[str, RoleRef]:
        """Return who is bound to roles: by the options, else by harness.yaml.

        Raises:
            InputError: for an option that binds nobody, or binds twice.
        """
        from harness.reading.roles import roles_of_options

        return {**self.config.roles, **roles_of_options(options.judge, options.roles)}

    def declare_policies(self) -> None:
        """Enter the folder's policies into the ledger, before anything is run that they may decide."""
        from harness.evaluation.policies import declare_all

        declare_all(self.writable_workspace(), self.config, self.plugins.registries)

    def _path(self, path: str | Path) -> Path:
        """Return a path as the session's folder means it."""
        return Path(self.reference(str(path), always=True)).expanduser()

    def reference(self, name: str, *, always: bool = False) -> str:
        """Return a name as it is, and a path as the session's folder means it."""
        is_path = always or "/" in name or name.endswith((".yaml", ".yml"))
        here = self.options.folder == Path.cwd()
        return name if here or not is_path else str(self.options.folder / Path(name).expanduser())
