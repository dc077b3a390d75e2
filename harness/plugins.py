"""The plugin manager: the only module that touches pluggy's manager. Fresh for every run and every test."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from harness import hookspecs
from harness.errors import InputError, nearest
from harness.hashing import sha256_file, sha256_text
from harness.hookspecs import BUNDLED
from harness.plugin_code import check_principle, raised_at
from harness.registry import Known, Registry

if TYPE_CHECKING:
    from harness.commands import Commands
    from harness.contracts import Classifier, Critic, MetricFactory, Model, RunContext, Source, Stage, Tool, Verifier
    from harness.gates.kind import Correction, GateKind
    from harness.reporting import ReportSection
    from harness.types import ModelSpec, Principle

ENTRY_POINT_GROUP = "harness"
_FILES = {"constitution", "suite", "recipe", "policy"}
"""Kinds that are registered as the path of a YAML file."""

_NO_PLUGINS = ("_", "test_", "conftest.")
"""How the names of files in a folder of plugins begin that are none: a plugin's tests may lie beside it."""

Found = tuple[str, str, Callable[[], object]]
"""A plugin that was found but not loaded: its name, its origin, and how to load it."""


@dataclass(frozen=True, kw_only=True)
class Registries:
    """Everything that plugins registered, frozen."""

    models: Registry[Callable[[ModelSpec, RunContext], Model]]
    sources: Registry[Source]
    stages: Registry[Callable[[], Stage]]
    principles: Registry[Principle]
    constitutions: Registry[Path]
    critics: Registry[Callable[[Mapping[str, Any]], Critic]]
    verifiers: Registry[Verifier]
    tools: Registry[Tool]
    classifiers: Registry[Callable[[Mapping[str, Any], RunContext], Classifier]]
    metrics: Registry[MetricFactory]
    gate_kinds: Registry[Callable[[], GateKind]]
    corrections: Registry[Callable[[], Correction]]
    suites: Registry[Path]
    recipes: Registry[Path]
    policies: Registry[Path]
    report_sections: Registry[ReportSection]
    jobs: Registry[Callable[..., Any]]
    services: Registry[Callable[..., Any]]
    trusted: frozenset[str] = frozenset()
    """Code besides plugins that the user lets run, by `-p trust:PLACE`: see `Metric.code`."""

    def each(self) -> Mapping[str, Registry[Any]]:
        """Return the registries by kind."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Registry)}


@dataclass(frozen=True, kw_only=True)
class BrokenPlugin:
    """A plugin that could not be loaded or registered."""

    name: str
    reason: str
    detail: str
    """The traceback, for `harness doctor`."""

    @property
    def sentence(self) -> str:
        """What is wrong, with the way out."""
        way_out = f"-p no:{self.name}"
        hint = "" if way_out in self.reason else f"; mend it, or leave it out with {way_out}"
        return f"the plugin {self.name} is broken: {self.reason}{hint}"


@dataclass(frozen=True, kw_only=True)
class PluginInfo:
    """One plugin in use, for listings and run records."""

    name: str
    version: str
    """The distribution's version; for a dropped-in file, the first 12 digits of its SHA-256."""
    origin: str
    """`bundled`, `installed` or the file it came from."""


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """All plugins of one invocation."""

    registries: Registries
    infos: tuple[PluginInfo, ...]
    broken: tuple[BrokenPlugin, ...]
    manager: pluggy.PluginManager = field(repr=False)

    def require_whole(self) -> None:
        """Refuse to go on when a plugin is broken: `run`, `train`, `decide` and `promote` call this.

        Raises:
            InputError: naming the broken plugins and how to leave them out.
        """
        if self.broken:
            raise InputError("; ".join(broken.sentence for broken in self.broken))

    def observed(self, hook: str) -> bool:
        """Tell whether any plugin implements a hook."""
        return bool(getattr(self.manager.hook, hook).get_hookimpls())

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """Return a hook's implementations in pluggy's order: `tryfirst`, the rest from the newest plugin, `trylast`."""
        return list(reversed(getattr(self.manager.hook, hook).get_hookimpls()))

    def notify(self, hook: str, **arguments: object) -> tuple[str, ...]:
        """Call an observing hook on every plugin; return one warning per plugin that raised."""
        answers = self.collect(hook, **arguments)
        return tuple(_warning(name, hook, answer) for name, answer in answers if isinstance(answer, Exception))

    def collect(self, hook: str, **arguments: object) -> tuple[tuple[str, object], ...]:
        """Call a hook on every plugin; return (plugin, answer or the exception it raised)."""
        return tuple((one.plugin_name, _answer(one, arguments)) for one in self._implementations(hook))

    def add_commands(self, cli: Commands) -> tuple[str, ...]:
        """Let the plugins that are not bundled add their commands, each all or none; return a warning for each none."""
        bundled = {info.name for info in self.infos if info.origin == "bundled"}
        warnings = []
        for one in self._implementations("register_commands"):
            if one.plugin_name not in bundled:
                own = type(cli)()
                answer = _answer(one, {"cli": own})
                if not isinstance(answer, Exception):
                    answer = cli.take_over(own)
                if isinstance(answer, Exception):
                    warnings.append(_warning(one.plugin_name, "register_commands", answer))
        return tuple(warnings)


def _answer(implementation: pluggy.HookImpl, arguments: Mapping[str, object]) -> object:
    """Call one plugin's hook; return its answer or the exception it raised."""
    try:
        return implementation.function(*(arguments[name] for name in implementation.argnames))
    except Exception as error:  # noqa: BLE001 - the caller decides what a failure means
        return error
    except KeyboardInterrupt:
        raise
    except BaseException as stop:  # noqa: BLE001 - a plugin that means to end the process, as SystemExit does
        how = f"exit {stop.code}" if isinstance(stop, SystemExit) else f"{type(stop).__name__}: {stop}"
        return RuntimeError(f"it tried to end the process ({how})").with_traceback(stop.__traceback__)


def _warning(plugin: str, hook: str, error: Exception) -> str:
    place = raised_at(error)
    return f"plugin {plugin} failed in {hook}: {type(error).__name__}: {error}" + (f" ({place})" if place else "")


def load_plugins(chosen: Iterable[str] = (), *, installed: bool = True) -> Plugins:
    """Load bundled, installed and dropped-in plugins, register everything, and freeze.

    Args:
        chosen: the `-p` options: a folder of one-file plugins, a single `.py` file, an importable module, `no:NAME` to
            leave one out, or `trust:PLACE` to let a suite run code that is no plugin.
        installed: whether to look at the entry points of installed packages.

    Raises:
        InputError: for a path that does not exist, or a `no:NAME` that names no plugin. A plugin that breaks does
            not raise: it is in `broken`.
    """
    options = list(chosen)
    blocked = {option.removeprefix("no:") for option in options if option.startswith("no:")}
    found: list[Found] = [(name, "bundled", _importer(name)) for name in BUNDLED]
    if installed:
        found += _entry_points()
    for option in options:
        if not option.startswith(("no:", "trust:")):
            found += list(_dropped_in(option))
    _check_blocked(blocked, [name for name, _, _ in found])

    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    registries = _new_registries(frozenset(map(_trusted, options)) - {""})
    infos: list[PluginInfo] = []
    broken: list[BrokenPlugin] = []
    for name, origin, load in found:
        if name in blocked:
            continue
        try:
            plugin = load()
            _add_plugin(manager, registries, name, plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin that exits must not end this process, least of all with 0
            if origin == "bundled":
                raise
            broken.append(_broken(name, error))
            continue
        infos.append(PluginInfo(name=name, version=_version(name, origin, plugin), origin=origin))
    for registry in registries.each().values():
        registry.freeze()
    _bring(registries)
    return Plugins(registries=registries, infos=tuple(infos), broken=tuple(broken), manager=manager)


def _bring(registries: Registries) -> None:
    """Make what plugins that do not ship bring to gates, and to other plugins, known in the process."""
    brought: tuple[Registry[Any], ...] = (registries.gate_kinds, registries.corrections, registries.services)
    if any(entry.owner not in BUNDLED for registry in brought for entry in registry):
        from harness.gates.kinds import CORRECTIONS, KINDS
        from harness.services import SERVICES

        process: tuple[Known[Any], ...] = (KINDS, CORRECTIONS, SERVICES)
        for known, registry in zip(process, brought, strict=True):
            for entry in registry:
                known.add(entry.name, entry.value)


def _broken(name: str, error: BaseException) -> BrokenPlugin:
    told = isinstance(error, InputError | pluggy.PluginValidationError)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    reason = " ".join(text.split()) if told else next(iter(text.strip().splitlines()), "")
    if not isinstance(error, InputError):
        reason = f"{type(error).__name__}: {reason}"
        place = raised_at(error)
        reason += f" ({place})" if place else ""
    if isinstance(error, ModuleNotFoundError):
        reason += "; install it, or import it inside the function that needs it"
    detail = "".join(traceback.format_exception(error))
    return BrokenPlugin(name=name, reason=reason, detail=detail)


def _trusted(option: str) -> str:
    """Return what a `-p trust:PLACE` names: a folder's full path, or else PLACE as it is; empty for other options."""
    place = option.removeprefix("trust:") if option.startswith("trust:") else ""
    folder = Path(place).expanduser()
    return str(folder.resolve()) if place and folder.is_dir() else place


def _new_registries(trusted: frozenset[str]) -> Registries:
    return Registries(
        trusted=trusted,
        models=Registry("model scheme"),
        sources=Registry("source"),
        stages=Registry("stage"),
        principles=Registry("principle"),
        constitutions=Registry("constitution"),
        critics=Registry("critic"),
        verifiers=Registry("verifier"),
        tools=Registry("tool"),
        classifiers=Registry("classifier"),
        metrics=Registry("metric"),
        gate_kinds=Registry("kind of gate"),
        corrections=Registry("correction"),
        suites=Registry("suite"),
        recipes=Registry("recipe"),
        policies=Registry("policy"),
        report_sections=Registry("report section"),
        jobs=Registry("job"),
        services=Registry("service"),
    )


def _add_plugin(manager: pluggy.PluginManager, registries: Registries, name: str, plugin: object) -> None:
    """Register one plugin whole or not at all: what it adds lands only when every hook of it went through."""
    trial = pluggy.PluginManager("harness")
    trial.add_hookspecs(hookspecs)
    _check_hooks(plugin)
    trial.register(plugin, name)
    staged: list[tuple[Registry[Any], tuple[str, object, str]]] = []
    for kind, registry in registries.each().items():
        for implementation in getattr(trial.hook, f"register_{kind}").get_hookimpls():
            implementation.function(_stager(staged, registry, kind))
    for registry, (key, _, _) in staged:
        if key in registry:
            registry.registrar(name)(key, None)  # raises, naming both owners
    for registry, (key, value, about) in staged:
        registry.registrar(name)(key, value, about=about)
    manager.register(plugin, name)


def _stager(
    staged: list[tuple[Registry[Any], tuple[str, object, str]]], registry: Registry[Any], kind: str
) -> Callable[..., None]:
    if kind == "principles":

        def register_principle(principle: Principle, *more: object, **options: object) -> None:
            if more or options:
                raise InputError(
                    f"register_principles was given {principle!r} and more",
                    hint="register the Principle alone: register(PRINCIPLE)",
                )
            check_principle(principle)
            staged.append((registry, (principle.id, principle, principle.text)))

        return register_principle

    def register(key: str, value: object, *, about: str = "") -> None:
        _check_value(registry.kind, key, value)
        staged.append((registry, (key, value, about)))

    return register


def _check_value(kind: str, key: str, value: object) -> None:
    """Refuse what could only fail later, far from the plugin that registered it."""
    what = f"the {kind} {key!r}"
    if kind in _FILES:
        if not isinstance(value, Path):
            name = Path(str(value)).name
            raise InputError(
                f"{what} is {value!r}", hint=f"register a Path, such as Path(__file__).with_name({name!r})"
            )
        if not value.is_file():
            raise InputError(f"{what} has no file {value}", hint="check the path")
    elif kind == "report section":
        if not callable(getattr(value, "render", None)):
            raise InputError(f"{what} is {value!r}", hint="register a ReportSection")
    elif not callable(value):
        raise InputError(f"{what} is {value!r}", hint="register what makes it, a class or a function")


def _check_hooks(plugin: object) -> None:
    """A misspelt hook must not pass silently, nor one that asks for what the hook does not give."""
    specs = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "harness_spec")}
    for attribute in dir(plugin):
        function = getattr(plugin, attribute, None)
        options = getattr(function, "harness_impl", None)
        if not isinstance(options, dict) or not inspect.isroutine(function):
            continue
        name = options.get("specname") or attribute
        code = getattr(function, "__code__", None)
        place = {} if code is None else {"file": code.co_filename, "line": code.co_firstlineno}
        if name not in specs:
            close = nearest(name, specs)
            raise InputError(
                f"there is no hook called {name!r}", **place, hint=f"did you mean {close!r}?" if close else None
            )
        if options.get("wrapper") or options.get("hookwrapper") or inspect.isgeneratorfunction(function):
            raise InputError(
                f"the hook {name} is written as a wrapper, with `yield`, which harness does not call", **place,
                hint="return the answer; `tryfirst` and `trylast` say when it is asked",
            )  # fmt: skip
        given = list(inspect.signature(specs[name]).parameters)
        for asked in inspect.signature(function).parameters:
            if asked not in given:
                raise InputError(
                    f"the hook {name} gives no argument {asked!r}", **place, hint=f"it gives {', '.join(given)}"
                )


def _importer(module: str) -> Callable[[], object]:
    return lambda: importlib.import_module(module)


def _entry_points() -> list[Found]:
    """Return the plugins of installed packages; a name that two packages claim loads as an error naming both."""
    seen: dict[str, tuple[str, str, Any]] = {}
    clashes: dict[str, set[str]] = {}
    for distribution in distributions():
        for point in _points_of(distribution):
            package = distribution.name
            first = seen.setdefault(point.name, (package, point.value, point))
            if first[:2] != (package, point.value):
                clashes.setdefault(point.name, {first[0]}).add(package)
    return [
        (name, "installed", _clash(name, clashes[name]) if name in clashes else seen[name][2].load)
        for name in sorted(seen)
    ]


def _clash(name: str, packages: set[str]) -> Callable[[], object]:
    def load() -> object:
        raise InputError(
            f"the plugin name {name!r} is claimed by the packages {' and '.join(sorted(packages))}",
            hint="uninstall one of them",
        )

    return load


def _points_of(distribution: Distribution) -> list[Any]:
    return [point for point in distribution.entry_points if point.group == ENTRY_POINT_GROUP]


def _dropped_in(option: str) -> Iterable[Found]:
    if not option.strip():  # as a path it would be the current folder, and every script in it
        raise InputError("a plugin's name is empty", hint="give -p a folder, a file, a module or no:NAME")
    path = Path(option)
    if path.is_dir():
        files = sorted(file for file in path.glob("*.py") if not file.name.startswith(_NO_PLUGINS))
        if not files:
            raise InputError("the folder holds no plugin file (*.py)", file=path, hint="see docs/writing-plugins.md")
    elif path.suffix == ".py":
        if not path.is_file():
            raise InputError("no such plugin file", file=path, hint="check the path")
        files = [path]
    elif path.parts and len(path.parts) == 1 and importlib.util.find_spec(option.split(".", maxsplit=1)[0]):
        yield option, "installed", _importer(option)
        return
    else:
        raise InputError("no such plugin folder, file or module", file=option, hint="check the name or path")
    for file in files:
        yield file.stem, str(file), _file_loader(file)


def _file_loader(file: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        name = f"harness_dropped_in_{sha256_text(str(file.resolve()))[:12]}_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise InputError("cannot be imported as a Python file", file=file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickling look a class's module up here
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load


def _check_blocked(blocked: set[str], names: list[str]) -> None:
    for name in sorted(blocked - set(names)):
        close = nearest(name, names)
        raise InputError(
            f"-p no:{name} names no plugin", hint=f"did you mean {close!r}?" if close else "see harness list plugins"
        )


def _version(name: str, origin: str, plugin: object) -> str:
    from harness import __version__

    if origin == "bundled":
        return __version__
    if origin == "installed":
        module = getattr(plugin, "__name__", name).split(".")[0]
        for distribution in distributions():
            if any(point.name == name for point in _points_of(distribution)):
                return distribution.version
        return str(getattr(sys.modules.get(module), "__version__", "unknown"))
    return sha256_file(Path(origin))[:12]
