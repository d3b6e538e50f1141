"""The wheel as a stranger has it: an empty environment, read-only, without a compiler, in an empty folder."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from conftest import OWN, clean, run, wheel_of

NOBODY = 65534
TOOLS = ("sh", "cat", "env")
NET = """
import torch
from torch import nn

def build():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 2)).eval()
"""
FRAMEWORKS = sysconfig.get_path("purelib")


DROP = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        "sh", "-c", 'exec "$@"', "sh"]
"""Before a command: nobody instead of root.  setpriv itself may still do what root may, the shell not."""


def as_nobody(command) -> list:
    """The command, not as root."""
    return [shutil.which(DROP[0]), *DROP[1:], *command] if os.getuid() == 0 else list(command)


def interpreter() -> str:
    """A Python of this version that everybody may run; the tests are skipped without one."""
    version = "import sys; print(sys.version_info[:2])"
    system = shutil.which("python3", path=os.defpath)
    for path in filter(None, (getattr(sys, "_base_executable", None), system)):
        said = run(*as_nobody([path, "-I", "-c", version]), check=False, cwd="/").stdout
        if said == f"{sys.version_info[:2]}\n":
            return path
    pytest.skip(f"no Python {sys.version_info[0]}.{sys.version_info[1]} that others than root may run")


class Stranger:
    """Somebody with an environment of their own, who may not write into it."""

    def __init__(self, place: Path):
        self.venv, self.home = place / "venv", place / "home"
        self.site = self.venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        tools = place / "tools"
        for folder in (place, self.home, tools):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        for name in TOOLS:
            (tools / name).symlink_to(shutil.which(name))
        run(interpreter(), "-m", "venv", self.venv)
        run(self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel_of(OWN),
            env=clean())
        self.environment = clean(HOME=str(self.home), PATH=f"{self.venv / 'bin'}:{tools}")
        if os.getuid() == 0:
            os.chown(self.home, NOBODY, NOBODY)

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def reach(self, folder: str) -> None:
        (self.site / "frameworks.pth").write_text(folder + "\n")

    def lock(self) -> None:
        run("chmod", "-R", "a-w", self.site)

    def __call__(self, *command, check=True):
        """Run a command in the home folder, never as root."""
        return run(*as_nobody(command), check=check, cwd=self.home, env=self.environment)


@pytest.fixture(scope="module")
def stranger():
    # Not pytest's own folder: every run of pytest shuts that to others again.
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as place:
        made = Stranger(Path(place))
        made.lock()
        yield made
        run("chmod", "-R", "u+w", made.site)


@pytest.fixture(scope="module")
def equipped(stranger):
    """The same with all frameworks in reach, by a .pth file put there before the lock is on again."""
    run("chmod", "u+w", stranger.site)
    stranger.reach(FRAMEWORKS)
    stranger.lock()
    return stranger


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_nothing_can_be_written_and_nothing_compiles(stranger):
    assert stranger("python", "-c", f"open({str(stranger.site / 'x')!r}, 'w')", check=False).returncode == 1
    assert all(shutil.which(name, path=stranger.environment["PATH"]) is None
               for name in ("cc", "gcc", "clang", "make"))


def test_programs_are_on_the_path(stranger):
    for name in ("loom-stream", "loom-infer", "loom-compare", "entity-dump", "loom-list",
                 "planetbridging"):
        assert "1.0.0" in stranger(name, "--version").stdout, name
    assert stranger("planetbridging", "--help").stdout.startswith("usage: planetbridging")
    assert (stranger.venv / "share" / "man" / "man1" / "loom-infer.1").exists()


def test_programs_are_found_beside_an_interpreter_that_is_not_on_the_path(stranger):
    code = "import os; os.environ['PATH'] = '/nowhere'; from planetbridging import programs; " \
           "print(programs.find('loom-infer'))"
    assert stranger(stranger.python, "-c", code).stdout == f"{stranger.venv}/bin/loom-infer\n"


def test_the_demo_needs_no_framework(stranger):
    before = listing(stranger.site)
    said = stranger("python", "-m", "planetbridging", "demo").stdout
    assert "$ python -m planetbridging.demo numpy\n" in said
    assert said.endswith("PASS with the true weights, DIFF (exit status 1) with one of them negated: as it "
                         "should be.\n")
    assert listing(stranger.site) == before and listing(stranger.home) == []


def test_a_framework_that_is_not_there_is_named(stranger):
    done = stranger("python", "-c", "from planetbridging import engines; engines.stream('mha', 'pytorch')",
                    check=False)
    assert done.stderr.splitlines()[-1] == ("ImportError: pytorch needs the Python package torch, which is "
                                            "not installed: pip install torch")
    assert stranger("python", "-c", "from planetbridging import engines; print(engines.installed_planets())"
                    ).stdout == "()\n"


def test_the_demo_with_scikit_learn(equipped):
    said = equipped("planetbridging", "demo", "sklearn", "--keep", "kept").stdout
    assert "label  tensor" in said and "not the same: 1 DIFF" in said
    assert (equipped.home / "kept" / "digits.entity").exists()


def test_check(equipped):
    equipped("python", "-c", f"open('net.py', 'w').write({NET!r}); import numpy; "
             "numpy.save('x.npy', numpy.random.default_rng(0).standard_normal((5, 6)).astype('f4'))")
    said = equipped("python", "-m", "planetbridging", "check", "net:build", "--input", "x.npy").stdout
    assert said.endswith("\nnet:build: PASS\n")


@pytest.mark.parametrize("name, arguments, last", [
    ("01_hello_stream", ["mha"], "  native and loom  PASS"),
    ("02_all_layer_types", [], "13 of 13 agree"),
    ("03_cross_engine", ["rmsnorm"], "  native and loom  PASS"),
    ("04_multi_layer_models", [], "5 of 5 agree"),
    ("06_showcase_everything", ["--quick", "--no-welvet"], "  all agree"),
])
def test_examples(equipped, name, arguments, last):
    before = listing(equipped.site)
    path = equipped.site / "planetbridging" / "examples" / f"{name}.py"
    assert equipped("python", path, *arguments).stdout.splitlines()[-1] == last
    assert listing(equipped.site) == before


def test_example_05_asks_real_loom_or_says_that_there_is_none(equipped):
    path = equipped.site / "planetbridging" / "examples" / "05_welvet_ladder.py"
    done = equipped("python", path, "layernorm", check=False)
    there = equipped("python", "-c", "import welvet", check=False).returncode == 0
    if there:
        assert done.returncode == 0 and "  native and Loom  PASS (welvet)\n" in done.stdout
    else:
        assert done.returncode == 1 and done.stderr.rstrip().endswith(": pip install welvet")


THEIRS = "planetbridging==0.7.3"


def test_the_other_package_of_this_name_is_named(tmp_path):
    """Both in one environment, whichever modules Python finds: one line, status 4."""
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    if run(*pip, THEIRS, check=False, env=clean()).returncode != 0:
        pytest.skip(f"{THEIRS} cannot be installed")
    site = next((tmp_path / "venv").glob("lib/*/site-packages"))
    run(*pip, "--ignore-installed", wheel_of(OWN), env=clean())
    (site / "numpy.pth").write_text(FRAMEWORKS + "\n")
    for command in ([python, "-m", "planetbridging", "demo"], [tmp_path / "venv/bin/planetbridging", "demo"]):
        done = run(*command, check=False, env=clean())
        assert (done.returncode, done.stderr) == (4, (
            f"planetbridging: {site}/planetbridging holds modules of another planetbridging (_binary.py): "
            "uninstall both (pip uninstall planetbridging, twice), then install the one you mean\n"))
    (site / "planetbridging" / "cli.py").unlink()
    done = run(tmp_path / "venv/bin/planetbridging", "demo", check=False, env=clean())
    assert done.returncode == 4 and done.stderr.count("\n") == 1
    assert f"{site}/planetbridging is another project's package of this name" in done.stderr
