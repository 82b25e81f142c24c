"""The installed wheel works away from the checkout: cards and experiments are in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


def _run(*command: object, cwd: Path, **environment: str) -> str:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "RETINA_PATH", "PYTHONHOME")
    }
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=kept | environment,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    _run(sys.executable, *build, cwd=CHECKOUT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """An environment with the wheel, which sees the packages of this one."""
    folder = tmp_path_factory.mktemp("env")
    _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    install = ("install", "--no-deps", "--no-index", "--ignore-installed", wheel)
    _run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    site = _run(
        python,
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
        cwd=folder,
    ).strip()
    here = sysconfig.get_path("purelib")
    Path(site, "packages_of_the_tests.pth").write_text(here + "\n")
    return folder


def test_the_wheel_holds_what_the_checkout_holds(wheel: Path):
    held = set(zipfile.ZipFile(wheel).namelist())
    for kind, pattern in (("datasets", "*.toml"), ("experiments", "*/*")):
        files = [p for p in (CHECKOUT / kind).glob(pattern) if p.is_file()]
        assert files
        for file in files:
            shipped = file.relative_to(CHECKOUT).as_posix()
            assert f"retina/_shipped/{shipped}" in held
    for file in ("py.typed", "costs/constants.toml", "templates/dataset.toml"):
        assert f"retina/{file}" in held
    assert not [name for name in held if name.startswith("tests/")]


def test_it_runs_away_from_the_checkout(installed: Path, tmp_path: Path):
    retina = installed / "bin" / "retina"
    where = _run(
        installed / "bin" / "python",
        "-c",
        "import retina; print(retina.__file__)",
        cwd=tmp_path,
    )
    assert Path(where.strip()).is_relative_to(installed)
    listed = json.loads(_run(retina, "list", "datasets", "--json", cwd=tmp_path))
    wanted = {card.stem for card in (CHECKOUT / "datasets").glob("*.toml")}
    assert set(listed) == wanted
    dry = _run(retina, "sweep", "quickstart", "--dry-run", "--json", cwd=tmp_path)
    jobs = json.loads(dry)
    assert len(jobs) >= 8
    assert all(job["flops_per_bin"] is not None for job in jobs)
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"
