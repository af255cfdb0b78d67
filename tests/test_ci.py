"""What a build runs: the README's chapter, the composite action, the GitLab jobs, annotations and progress."""

import json
import os
import pty
import re
import select
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from commands import BIN, ROOT, reference_server

CHAPTER = (ROOT / "README.md").read_text().partition("## Use it in CI\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", CHAPTER, re.DOTALL)
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab-ci.yml").read_text())


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    with reference_server(tmp_path_factory.mktemp("honest")) as (target, _):
        yield target


@pytest.fixture
def shell(tmp_path, honest):
    """Runs a script as a build does: in a folder with the target file, installations already done."""
    text = honest.read_text()
    secrets = {}
    for number, (name, value) in enumerate(re.findall(r'(access_key|secret_key) = "([^"]+)"', text)):
        secrets[f"CI_{number}"] = value
        text = text.replace(f'{name} = "{value}"', f'{name} = "env:CI_{number}"')
    (tmp_path / "target.toml").write_text(text)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("pip", "python3"):
        stub = tools / name
        stub.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$INSTALLED"\n')
        stub.chmod(0o755)
    environment = {
        "PATH": f"{tools}:{BIN}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "INSTALLED": str(tmp_path / "installed"),
        **secrets,
    }

    def run(script, **more):
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_the_shell_snippets_of_the_chapter_run_in_order(shell, tmp_path):
    scripts = [text for kind, text in BLOCKS if kind == "sh"]
    assert len(scripts) == 3
    for script in scripts:
        done = shell(script)
        assert done.returncode == 0, (script, done.stdout[-600:], done.stderr)
    assert (tmp_path / "known.yaml").is_file()
    assert (tmp_path / "conformance-results" / "merged" / "report.html").is_file()
    swept = shell("obs-conformance sweep conformance-results/ci --target target.toml")
    assert "0 of 0 resources removed" in swept.stdout


def act(shell, tmp_path, **inputs):
    """Plays the composite action's steps with these inputs, as a runner does; the play step's exit code and outputs."""
    values = {name: str(word.get("default", "")) for name, word in ACTION["inputs"].items()} | inputs
    runner = {name: tmp_path / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    codes = {}
    for step in ACTION["runs"]["steps"]:
        if codes and any(codes.values()) and step.get("if") != "always()":
            continue
        env = {
            name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: values[found[1]], text)
            for name, text in step.get("env", {}).items()
        }
        assert not [text for text in env.values() if "${{" in text]
        more = {name: str(path) for name, path in runner.items()} | {"GITHUB_ACTION_PATH": str(ROOT)}
        done = shell(step["run"], **env, **more)
        codes[step["name"]] = done.returncode
        yield step["name"], done
    yield "runner", runner


def test_the_action_plays_annotates_and_writes_the_summary(shell, tmp_path):
    snippet = yaml.safe_load(next(text for kind, text in BLOCKS if kind == "yaml"))[0]
    assert set(snippet["with"]) <= set(ACTION["inputs"])
    done = dict(act(shell, tmp_path, target="target.toml", arguments="--select KMS-SAMPLE --no-doctor"))
    assert (tmp_path / "installed").read_text() == f"-m pip install --quiet {ROOT}\n"
    assert done["Play"].returncode == 3
    assert "Inconclusive: " in done["Play"].stdout
    assert done["runner"]["GITHUB_OUTPUT"].read_text() == "exit-code=3\n"
    summary = done["runner"]["GITHUB_STEP_SUMMARY"].read_text()
    assert summary == (tmp_path / "conformance-results" / "ci" / "summary.md").read_text()
    assert "Inconclusive" in summary
    assert (tmp_path / "conformance-results" / "ci" / "junit.xml").is_file()


def test_the_action_hands_on_a_usage_error_with_its_sentence(shell, tmp_path):
    done = dict(act(shell, tmp_path, target="none.toml"))
    assert done["Play"].returncode == 2
    assert "none.toml: cannot be read" in done["runner"]["GITHUB_STEP_SUMMARY"].read_text()


def test_the_gitlab_jobs_make_one_verdict_of_their_shards(shell, tmp_path):
    (tmp_path / "known.yaml").write_text("# nothing is known\n")
    job, verdict = GITLAB["conformance"], GITLAB["conformance-verdict"]
    for number in range(1, job["parallel"] + 1):
        for line in GITLAB[job["extends"]]["before_script"] + job["script"]:
            some = line.replace("--target", "--select KMS-SAMPLE --target")  # the README's snippet plays them all
            done = shell(some, CI_NODE_INDEX=str(number), CI_NODE_TOTAL=str(job["parallel"]))
            assert done.returncode == 0, done.stderr
    done = shell(verdict["script"][0])
    assert done.returncode == 3
    assert "\nInconclusive: " in done.stdout
    assert (tmp_path / verdict["artifacts"]["reports"]["junit"]).is_file()


def test_annotations_stand_at_the_line_of_the_case(conformance, tmp_path):
    with reference_server(tmp_path, "--defect", "bare-key-id-in-answer") as (target, _):
        outcome = conformance("--no-doctor", "--target", target, "--select", "SAMPLE-001", "--annotations", "github")
    found = re.search(
        r"^::error file=([^,]+),line=(\d+),title=KMS-SAMPLE-001 fail::(.+)$", outcome.stdout, re.MULTILINE
    )
    line = (ROOT / found[1]).read_text().splitlines()[int(found[2]) - 1]
    assert "KMS-SAMPLE-001" in line
    assert "x-obs-server-side-encryption-kms-key-id" in found[3]
    assert outcome.stdout.count("::error") == 1


def test_progress_is_one_live_line_on_a_terminal_and_plain_lines_elsewhere(honest, conformance, tmp_path):
    plain = conformance("--no-doctor", "--target", honest, "--select", "KMS-PUT")
    total = len(plain.rungs)
    lines = [line for line in plain.stdout.splitlines() if line.startswith(f"obs-reference-server: {total}/{total}, ")]
    assert len(lines) == 1
    assert lines[0].endswith("0:00 left")
    assert not {"\r", "\x1b"} & set(plain.stdout)

    parent, child = pty.openpty()
    command = [
        BIN / "obs-conformance",
        "run",
        "--no-doctor",
        "--target",
        honest,
        "--select",
        "KMS-PUT",
        "--out",
        tmp_path / "tty",
    ]
    with subprocess.Popen(command, stdout=child, stderr=child, stdin=child) as process:
        os.close(child)
        shown, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([parent], [], [], 0.2)[0]:
                try:
                    shown += os.read(parent, 65536)
                except OSError:
                    break
            elif process.poll() is not None:
                break
    os.close(parent)
    text = shown.decode()
    assert f"\r\x1b[Kobs-reference-server: {total}/{total}, " in text
    assert [line for line in text.split("\r\n") if re.search(r"\d+/\d+, .* left$", line)] == []
    assert "Inconclusive" in text


def test_the_container_recipe_runs_the_installed_command_as_nobody_in_particular():
    """It is not built here: a build needs a registry."""
    stages = (ROOT / "Containerfile").read_text().split("\nFROM ")[1:]
    words = dict(line.split(" ", 1) for line in stages[-1].splitlines()[1:] if line and not line.startswith("#"))
    assert words["COPY"].startswith("--from=build "), "the checkout itself stays in a layer of its own image"
    assert json.loads(words["ENTRYPOINT"]) == ["obs-conformance"]
    assert (BIN / json.loads(words["ENTRYPOINT"])[0]).is_file()
    assert words["USER"] not in {"root", "0"}
    assert Path(words["WORKDIR"]).is_absolute()


def test_a_container_build_sees_what_the_package_is_made_of_and_nothing_else():
    """A target file with a secret in the checkout must not get into an image."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "pyproject.toml"}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == needed
