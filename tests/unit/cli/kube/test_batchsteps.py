"""What a Pipeline's steps ask for is read as sbatch reads it."""

import pytest

from corral.cli.corral.kube.batchsteps import with_jobs
from corral.cli.run import Exit


def pipeline(script, *options):
    step = {"name": "train", "script": script, "options": list(options)}
    return {"kind": "Pipeline", "metadata": {"name": "p"}, "spec": {"steps": [step, {"name": "serve", "apply": {}}]}}


def spec_of(script, *options):
    return with_jobs("f.yaml", pipeline(script, *options))["spec"]["steps"][0]["job"]["spec"]


def test_options_win_over_the_lines_of_the_script():
    spec = spec_of("#!/bin/bash\n#SBATCH --nodes=2 --time=10\n#SBATCH --mem=4G\n", "--time=20", "--job-name=t")
    assert (spec["nodes_min"], spec["time_limit"], spec["memory_per_node_mb"], spec["name"]) == (2, 1200, 4096, "t")


def test_the_path_and_the_directory_are_those_of_who_applies_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/opt/bin:/bin")
    monkeypatch.setenv("SECRET", "x")
    job = with_jobs("f.yaml", pipeline("true"))["spec"]["steps"][0]["job"]
    assert job["spec"]["work_dir"] == str(tmp_path)
    assert job["environment"]["PATH"] == "/opt/bin:/bin"
    assert "SECRET" not in job["environment"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--no-such"], "spec.steps[0]: sbatch: unrecognized option '--no-such'"),
        (["--array=1-3"], "spec.steps[0]: --array is not supported in a Pipeline"),
        (["--mem=lots"], "spec.steps[0]: sbatch: error:"),
        (["train.sh"], "spec.steps[0]: 'train.sh' is no option of sbatch"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(options, told):
    with pytest.raises(Exit) as error:
        with_jobs("f.yaml", pipeline("true", *options))
    assert told in error.value.lines[0]


def test_other_manifests_and_other_steps_stay_as_they_are():
    assert with_jobs("f.yaml", {"kind": "Deployment"}) == {"kind": "Deployment"}
    assert with_jobs("f.yaml", pipeline("true"))["spec"]["steps"][1] == {"name": "serve", "apply": {}}
