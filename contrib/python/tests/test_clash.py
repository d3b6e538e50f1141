"""Another package of our name is detected by its modules and by what is installed beside us."""

from __future__ import annotations

import pytest

from planetbridging import MachineError, __version__, clash


def install(site, version: str, folder: str) -> None:
    """What pip leaves of a package of this name: its metadata."""
    place = site / folder
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: planetbridging\nVersion: {version}\n")
    (place / "RECORD").write_text("planetbridging/__init__.py,,\n")


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "planetbridging"
    folder.mkdir()
    return folder


def test_none(package):
    assert clash.found(package) == ""
    install(package.parent, __version__, f"planetbridging-{__version__}.dist-info")
    assert clash.found(package) == ""
    clash.refuse()


def test_modules_of_the_other_inside_ours(package):
    (package / "poc_engine.py").write_text("")
    assert clash.found(package) == f"{package} holds modules of another planetbridging (poc_engine.py)"


def test_the_other_installed_beside_ours(package, monkeypatch):
    install(package.parent, __version__, f"planetbridging-{__version__}.dist-info")
    install(package.parent, "0.7.3", "planetbridging-0.7.3.dist-info")
    what = f"{package.parent} holds planetbridging 0.7.3 too, another project's package"
    assert clash.found(package) == what
    monkeypatch.setattr(clash, "__file__", str(package / "clash.py"))
    with pytest.raises(MachineError) as error:
        clash.refuse()
    assert str(error.value) == (f"{what}: uninstall both (pip uninstall planetbridging, twice), then install "
                                "the one you mean")
