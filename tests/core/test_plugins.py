"""The plugin manager: whole or not at all, nothing silent, bundled plugins treated like everybody's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.plugins import BUNDLED, load_plugins

PRINCIPLE = """
from harness import hookimpl, Principle

@hookimpl
def register_principles(register):
    register(Principle(id="be_kind", text="Be kind."))
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_bundled_plugins_load_and_register_something():
    plugins = load_plugins(installed=False)
    assert [info.name for info in plugins.infos] == list(BUNDLED)
    assert not plugins.broken
    for kind in ("models", "sources", "stages", "constitutions", "critics", "classifiers", "metrics", "suites"):
        assert len(getattr(plugins.registries, kind)) > 0, kind


def test_a_dropped_in_file_is_used_and_named_by_its_hash(tmp_path):
    path = write(tmp_path, "kindness.py", PRINCIPLE)
    plugins = load_plugins([str(path)], installed=False)
    assert plugins.registries.principles.get("be_kind").text == "Be kind."
    info = next(info for info in plugins.infos if info.name == "kindness")
    assert info.origin == str(path)
    assert len(info.version) == 12


def test_a_folder_gives_every_file_but_underscored_ones(tmp_path):
    write(tmp_path, "kindness.py", PRINCIPLE)
    write(tmp_path, "_helper.py", "raise RuntimeError")
    assert "be_kind" in load_plugins([str(tmp_path)], installed=False).registries.principles


def test_no_name_leaves_a_plugin_out(tmp_path):
    path = write(tmp_path, "kindness.py", PRINCIPLE)
    plugins = load_plugins([str(path), "no:kindness"], installed=False)
    assert "be_kind" not in plugins.registries.principles


def test_no_name_that_names_nothing_is_an_error():
    with pytest.raises(InputError, match=r"-p no:harness_metric names no plugin; did you mean 'harness_metrics'\?"):
        load_plugins(["no:harness_metric"], installed=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nonexistent_thing", "ModuleNotFoundError: No module named 'nonexistent_thing'"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        (
            "from harness import hookimpl\n@hookimpl\ndef register_principels(register): pass",
            "no hook called 'register_principels'; did you mean 'register_principles'",
        ),
        (
            "from harness import hookimpl\n@hookimpl\ndef register_metrics(register): register('bleu', print)",
            "'bleu' is registered by both harness_metrics and bad",
        ),
        (
            "from harness import hookimpl\n@hookimpl\ndef register_metrics(registre): pass",
            "registre",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_nothing_of_it_stays(tmp_path, text, reason):
    path = write(tmp_path, "bad.py", text)
    plugins = load_plugins([str(path)], installed=False)
    (broken,) = plugins.broken
    assert broken.name == "bad"
    assert reason in broken.reason
    with pytest.raises(InputError, match=r"the plugin bad is broken.*-p no:bad"):
        plugins.require_whole()
    load_plugins([str(path), "no:bad"], installed=False).require_whole()


def test_a_plugin_that_breaks_halfway_registers_nothing(tmp_path):
    text = PRINCIPLE + "\n@hookimpl\ndef register_metrics(register):\n    raise ValueError('late')\n"
    path = write(tmp_path, "half.py", text)
    plugins = load_plugins([str(path)], installed=False)
    assert plugins.broken[0].reason.startswith("ValueError: late (")
    assert "be_kind" not in plugins.registries.principles


@pytest.mark.parametrize(
    ("option", "cause"),
    [("nowhere/plugins", "no such plugin"), ("gone.py", "no such plugin file"), ("", "name is empty")],
)
def test_a_path_that_is_not_there_is_an_error(option, cause):
    with pytest.raises(InputError, match=cause):
        load_plugins([option], installed=False)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="holds no plugin file"):
        load_plugins([str(tmp_path)], installed=False)


def test_observers_that_raise_become_warnings(tmp_path):
    path = write(
        tmp_path, "observer.py",
        "from harness import hookimpl\n@hookimpl\ndef run_started(spec):\n    raise ValueError('tired')\n",
    )  # fmt: skip
    plugins = load_plugins([str(path)], installed=False)
    assert plugins.notify("run_started", spec=None) == (
        f"plugin observer failed in run_started: ValueError: tired ({path}:4)",
    )


def test_collect_gives_every_answer_and_every_exception(tmp_path):
    path = write(
        tmp_path, "veto.py",
        "from harness import hookimpl\n@hookimpl\ndef veto_promotion(run, baseline):\n    return f'no: {run}'\n",
    )  # fmt: skip
    plugins = load_plugins([str(path)], installed=False)
    assert ("veto", "no: r1") in plugins.collect("veto_promotion", run="r1", baseline=None)


def install(folder: Path, package: str, name: str, module: str, text: str) -> None:
    """Put a package with an entry point into a folder, as an installer would."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{package}-1.2.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text(f"[harness]\n{name} = {module}\n")


def test_an_installed_package_is_found_by_its_entry_point(tmp_path, monkeypatch):
    install(tmp_path, "kindness-pack", "kindness", "kindness_module", PRINCIPLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = load_plugins()
    assert "be_kind" in plugins.registries.principles
    info = next(info for info in plugins.infos if info.name == "kindness")
    assert (info.version, info.origin) == ("1.2.3", "installed")
    assert "be_kind" not in load_plugins(["no:kindness"]).registries.principles


def test_a_name_that_two_packages_claim_is_an_error_naming_both(tmp_path, monkeypatch):
    install(tmp_path, "pack-a", "kindness", "kindness_a", PRINCIPLE)
    install(tmp_path, "pack-b", "kindness", "kindness_b", PRINCIPLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    (broken,) = load_plugins().broken
    assert "claimed by the packages pack-a and pack-b" in broken.reason


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "metrics", "--json"], ["show", "policy", "demo"]])
def test_light_commands_never_import_heavy_packages(arguments, tmp_path):
    heavy = ("torch", "transformers", "peft", "trl", "pandas", "streamlit", "spacy", "datasets", "evaluate", "pyarrow")
    code = (
        "import sys\nfrom harness.cli.main import run\n"
        f"code = run({arguments!r})\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert code == 0, code\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


VETO = """
from harness import hookimpl

@hookimpl{options}
def veto_promotion(run):
    {answer}
"""


def test_hooks_are_called_in_pluggys_order(tmp_path):
    chosen = []
    for name, options in (
        ("a", "(trylast=True)"),
        ("b", ""),
        ("c", "(tryfirst=True)"),
        ("d", ""),
        ("e", "(trylast=True)"),
    ):
        chosen.append(str(write(tmp_path, f"{name}.py", VETO.format(options=options, answer=f"return {name!r}"))))
    plugins = load_plugins(chosen, installed=False)
    assert "".join(str(answer) for _, answer in plugins.collect("veto_promotion", run=None, baseline=None)) == "cdbae"
    assert plugins.manager.hook.veto_promotion(run=None, baseline=None) == list("cdbae")


def test_observers_are_told_in_the_same_order(tmp_path):
    observer = "from harness import hookimpl\n@hookimpl{}\ndef run_started(spec):\n    spec.append({!r})\n"
    chosen = [str(write(tmp_path, f"{name}.py", observer.format(options, name)))
              for name, options in (("a", "(trylast=True)"), ("b", ""), ("c", ""))]  # fmt: skip
    told: list[str] = []
    assert load_plugins(chosen, installed=False).notify("run_started", spec=told) == ()
    assert told == ["c", "b", "a"]


@pytest.mark.parametrize("options", ["(wrapper=True)", "(hookwrapper=True)", ""])
def test_a_wrapper_is_refused_by_name(tmp_path, options):
    path = write(tmp_path, "wraps.py", VETO.format(options=options, answer="return (yield)"))
    (broken,) = load_plugins([str(path)], installed=False).broken
    assert "wraps.py" in broken.reason
    assert "the hook veto_promotion is written as a wrapper" in broken.reason
