"""The configuration file: what it makes of a server, and what it is told when it is wrong."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from reference_server.__main__ import main
from reference_server.config_file import read_config
from reference_server.errors import StartError
from reference_server.keyring import KeyState
from reference_server.tests.conftest import Rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_server.tests.conftest import Server

KMS = ("x-obs-server-side-encryption", "kms")
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
WHOLE = """
region = "eu-de"
domain_id = "d0000000000000000000000000000001"

[identities.owner]
access_key = "AKOWNER"
secret_key = "env:OWNER_SECRET"
project_id = "p0000000000000000000000000000001"
user_id = "u0000000000000000000000000000001"

[identities.other_project]
access_key = "AKCOLLEAGUE"
secret_key = "colleague-secret"
project_id = "p0000000000000000000000000000002"

[identities.robot]

[identities.other_account]
access_key = "AKSTRANGER"
secret_key = "stranger-secret"
domain_id = "d0000000000000000000000000000002"

[keys.custom]
id = "4f1cd4de-ab64-4807-920a-47fc42e7f0d0"
alias = "documents"
description = "everybody's"

[keys.other_project]
owner = "other_project"

[keys.off]
state = "disabled"

[keys.going]
state = "scheduled"

[keys.deleted]
state = "deleted"
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_file_makes_the_identities_and_keys_it_names_and_no_others(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWNER_SECRET", "the-owners-secret")
    path = written(tmp_path, WHOLE)
    server = start("--config", str(path), "--admin-file", str(tmp_path / "admin.toml"))
    admin = tomllib.loads((tmp_path / "admin.toml").read_text())
    assert (admin["region"], server.target["region"]) == ("eu-de", "eu-de")
    assert list(admin["identities"]) == ["owner", "other_project", "robot", "other_account"]
    assert list(server.target["identities"]) == ["owner", "other_account", "other_project"]
    owner, colleague, robot, stranger = admin["identities"].values()
    assert (owner["secret_key"], owner["user_name"], owner["administrator"]) == ("the-owners-secret", "owner", True)
    assert (colleague["administrator"], robot["administrator"], stranger["administrator"]) == (False, False, True)
    assert {owner["domain_id"], colleague["domain_id"], robot["domain_id"]} == {"d0000000000000000000000000000001"}
    assert robot["project_id"] == owner["project_id"]
    assert (len(robot["access_key"]), len(robot["secret_key"])) == (20, 40)
    assert set(admin["keys"]) == {"custom", "other_project", "off", "going", "deleted", "unknown"}
    assert admin["keys"]["custom"] == "4f1cd4de-ab64-4807-920a-47fc42e7f0d0"
    assert server.ask("PUT", "/bucket").status == 200

    def put(key: str, role: str = "owner") -> int:
        bucket = "/bucket" if role == "owner" else "/colleagues"
        return server.ask("PUT", f"{bucket}/o", (KMS, (KEY_ID, admin["keys"][key])), b"x", role=role).status

    assert {key: put(key) for key in admin["keys"]} == {
        "custom": 200,
        "other_project": 403,
        "off": 400,
        "going": 400,
        "deleted": 400,
        "unknown": 400,
    }
    assert server.ask("PUT", "/colleagues", role="other_project").status == 200
    assert (put("other_project", "other_project"), put("custom", "other_project")) == (200, 200)


def test_second_start_with_the_same_file_changes_nothing(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWNER_SECRET", "the-owners-secret")
    options = ("--config", str(written(tmp_path, WHOLE)), "--data", str(tmp_path / "data"))
    admin_file = tmp_path / "admin.toml"
    seen = []
    for _ in range(2):
        assert start(*options, "--admin-file", str(admin_file)).stop() == (0, "")
        admin = tomllib.loads(admin_file.read_text())
        seen.append({name: admin[name] for name in ("region", "identities", "keys")})
        assert admin["token"] not in str(seen[:-1])
    assert seen[0] == seen[1]


def test_file_changes_what_it_says_and_keeps_what_it_does_not(tmp_path: Path) -> None:
    rig = Rig()
    before = rig.identity()
    key = rig.made.keys["custom"]
    text = f"""
    [identities.owner]
    access_key = "{before.access_key}"
    secret_key = "rotated-secret"
    [keys.custom]
    id = "{key}"
    state = "disabled"
    [keys.extra]
    alias = "extra"
    """
    from reference_server.provision import provision

    made = provision(rig.service.world, config=read_config(written(tmp_path, text)))
    assert rig.identity().secret_key == "rotated-secret"
    assert rig.identity().caller == before.caller
    world = rig.service.world
    assert {role: world.keyring.get(made.keys[role]).state for role in ("custom", "second", "extra")} == {  # type: ignore[union-attr]
        "custom": KeyState.DISABLED,
        "second": KeyState.ENABLED,
        "extra": KeyState.ENABLED,
    }
    assert set(made.identities) == {"owner", "other_account", "other_project"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[identities.owner] is missing"),
        ("a = ", "is not TOML"),
        ("regoin = 'x'", "regoin: is not known; did you mean region?"),
        ("zzz = 'x'", "zzz: is not known; known are region, domain_id, identities, keys"),
        ("region = 'a b'\n[identities.owner]", "region: must be 1 to 64 letters, digits and dashes"),
        ("region = 7\n[identities.owner]", "region: must be 1 to 64"),
        ("domain_id = 'short'\n[identities.owner]", "domain_id: must be 32 characters of 0-9 and a-z"),
        ("identities = 7", "identities: must be a table; write [identities.NAME]"),
        ("[identities]\nowner = 7", "identities.owner: must be a table; write [identities.owner]"),
        ("[identities.'a b']", "identities.a b: the name must be 1 to 64"),
        ("[identities.owner]\nacces_key = 'x'", "identities.owner.acces_key: is not known; did you mean access_key?"),
        ("[identities.owner]\naccess_key = 'a b'", "identities.owner.access_key: must be 1 to 128"),
        (
            "[identities.owner]\naccess_key = 'a'\nsecret_key = 'env:NONE'",
            "identities.owner.secret_key: the environment variable NONE is not set",
        ),
        ("[identities.owner]\naccess_key = 'a'\nsecret_key = 'short'", "identities.owner.secret_key: must be 8 to 256"),
        ("[identities.owner]\nsecret_key = 'env:SET'", "identities.owner.access_key: is missing beside secret_key"),
        ("[identities.owner]\nadministrator = 'yes'", "identities.owner.administrator: must be true or false"),
        ("[identities.owner]\nproject_id = 'P'", "identities.owner.project_id: must be 32 characters"),
        ("[identities.owner]\nuser_name = ''", "identities.owner.user_name: must be 1 to 64"),
        (
            "[identities.a]\naccess_key = 'k'\n[identities.b]\naccess_key = 'k'",
            "identities.b.access_key: is that of identities.a; each needs its own",
        ),
        ("[identities.owner]\n[keys.a]\nowner = 'b'", "keys.a.owner: 'b' is none of the identities owner"),
        ("[identities.owner]\n[keys.a]\nid = 'b'", "keys.a.id: must be 8-4-4-4-12 characters"),
        ("[identities.owner]\n[keys.a]\nalias = 'obs/default'", "keys.a.alias: names ending in /default"),
        (
            "[identities.owner]\n[keys.a]\nstate = 'gone'",
            "keys.a.state: must be one of enabled, disabled, scheduled, deleted",
        ),
        ("[identities.owner]\n[keys.a]\nstate = []", "keys.a.state: must be one of"),
        ("[identities.owner]\n[keys.a]\ndescription = 7", "keys.a.description: must be at most 255 characters"),
    ],
)
def test_mistake_is_told_with_file_field_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StartError) as caught:
        read_config(path, {"SET": "long-enough"})
    assert str(caught.value).startswith(f"{path}: {says}")


def test_literal_secret_needs_a_private_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[identities.owner]\naccess_key = 'a'\nsecret_key = 'long-enough'", 0o644)
    with pytest.raises(StartError) as caught:
        read_config(path, {})
    assert str(caught.value) == (
        f"{path}: identities.owner.secret_key: others can read this file (mode 0644); run chmod 600 {path},"
        ' or write "env:NAME" to take it from the environment'
    )
    path.chmod(0o600)
    assert read_config(path, {}).identities["owner"].secret_key == "long-enough"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('[keys.custom]\nid = "{custom}"\nowner = "second"', "keys.custom.owner: the data directory has this key"),
        ('[keys.custom]\nid = "{custom}"\nproject_id = "{none}"', "keys.custom.project_id: the data directory has"),
        ('[keys.deleted]\nid = "{deleted}"\nstate = "enabled"', "keys.deleted.state: the key has been deleted"),
    ],
)
def test_what_cannot_change_is_told(tmp_path: Path, change: str, says: str) -> None:
    from reference_server.provision import provision

    rig = Rig()
    text = f'[identities.owner]\naccess_key = "{rig.made.identities["owner"]}"\n[identities.second]\n'
    path = written(tmp_path, text + change.format(**rig.made.keys, none="0" * 32))
    with pytest.raises(StartError) as caught:
        provision(rig.service.world, config=read_config(path))
    assert str(caught.value).startswith(f"{path}: {says}")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--region", "other"], "region: is not the other of --region"),
        (["--domain-id", "e" * 32], "domain_id: is not the"),
    ],
)
def test_file_and_option_that_disagree_are_one_clear_line(
    tmp_path: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f'region = "eu-de"\ndomain_id = "{"d" * 32}"\n[identities.owner]\n')
    assert main(["--config", str(path), *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"obs-reference-server: {path}: {says}")


def test_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.toml")
