"""Whatever is wrong, a user gets one clear message, its exit code, and nothing half-written."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.cli import build_command, build_environment, run_exgrpo, start_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train


def assert_clear(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    output = result.stdout + result.stderr
    assert result.returncode == code, output
    assert "Traceback" not in output
    assert "internal error" not in output
    for word in words:
        assert word in output, output


def assert_whole(run_dir: Path) -> None:
    """Every stage directory is finished, and no temporary file is left."""
    for stage in (run_dir / "stages").glob("[0-9]*"):
        assert (stage / "done.json").is_file()
    assert not list(run_dir.rglob("*.part"))
    assert not list(run_dir.rglob("*.tmp"))


# --- the spec ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "compile", "run"])
def test_missing_file_is_a_usage_error(tmp_path: Path, command: str) -> None:
    assert_clear(run_exgrpo(command, "nowhere.exg", cwd=tmp_path), 2, "nowhere.exg", "no such file")


@pytest.mark.parametrize("command", ["check", "compile", "run"])
def test_bytes_that_are_not_utf8_are_a_diagnostic(tmp_path: Path, command: str) -> None:
    (tmp_path / "latin.exg").write_bytes(b"exg 1\n// caf" + b"\xe9\n")
    assert_clear(run_exgrpo(command, "latin.exg", cwd=tmp_path), 1, "not-utf8", "latin.exg:2:7", "UTF-8")


@pytest.mark.parametrize("command", ["check", "compile", "run"])
def test_empty_spec_is_a_diagnostic(tmp_path: Path, command: str) -> None:
    (tmp_path / "empty.exg").write_text("")
    assert_clear(run_exgrpo(command, "empty.exg", cwd=tmp_path), 1, "empty.exg:1:1", "exg 1")


@pytest.mark.parametrize("command", ["compile", "run"])
def test_spec_without_a_task_compiles_to_nothing(tmp_path: Path, command: str) -> None:
    (tmp_path / "library.exg").write_text("exg 1\n\nconst delta = 0.5\n")
    assert run_exgrpo("check", "library.exg", cwd=tmp_path).returncode == 0
    assert_clear(run_exgrpo(command, "library.exg", cwd=tmp_path), 1, "no-task")
    assert not (tmp_path / "build").exists()


def test_unknown_task_is_told_with_the_one_meant(tmp_path: Path) -> None:
    write_sums(tmp_path)
    result = run_exgrpo("compile", "sums.exg", "--task", "sums_exgpro", cwd=tmp_path)
    assert_clear(result, 1, "did you mean `sums_exgrpo`?")


def test_unknown_override_is_told_with_the_one_meant(tmp_path: Path) -> None:
    write_sums(tmp_path)
    result = run_exgrpo("compile", "sums.exg", "--set", "train.stesp=3", cwd=tmp_path)
    assert_clear(result, 1, "did you mean `train.steps`?")
    assert not (tmp_path / "build").exists()


def test_unknown_stage_is_a_usage_error(tmp_path: Path) -> None:
    write_sums(tmp_path)
    assert_clear(run_exgrpo("run", "sums.exg", "--stage", "trian", cwd=tmp_path), 2, "trian", "warmup")


# --- the artifact -----------------------------------------------------------------------------------------


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_sums(tmp_path)
    assert run_exgrpo("compile", "sums.exg", cwd=tmp_path).returncode == 0
    return tmp_path / "build" / "sums_exgrpo"


def test_artifact_of_a_newer_format_is_refused(artifact: Path, tmp_path: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text())
    manifest["format"] = 99
    (artifact / "manifest.json").write_text(json.dumps(manifest))
    assert_clear(run_exgrpo("run", artifact, cwd=tmp_path), 3, "format 99", "Upgrade exgrpo")
    assert not (tmp_path / "runs").exists()


def test_damaged_artifact_is_refused(artifact: Path, tmp_path: Path) -> None:
    prompt = artifact / "prompts" / "invert.jinja"
    prompt.write_text(prompt.read_text() + "Say 42.")
    assert_clear(run_exgrpo("run", artifact, cwd=tmp_path), 3, "invert.jinja", "does not match its hash")
    assert not (tmp_path / "runs").exists()


def test_overrides_on_an_artifact_are_a_usage_error(artifact: Path, tmp_path: Path) -> None:
    assert_clear(
        run_exgrpo("run", artifact, "--set", "train.steps=1", cwd=tmp_path), 2, "--set works on a spec"
    )


def test_compile_leaves_a_directory_that_is_not_an_artifact_alone(tmp_path: Path) -> None:
    write_sums(tmp_path)
    other = tmp_path / "build" / "sums_exgrpo"
    other.mkdir(parents=True)
    (other / "thesis.tex").write_text("precious")
    assert_clear(run_exgrpo("compile", "sums.exg", cwd=tmp_path), 2, "is not an artifact")
    assert (other / "thesis.tex").read_text() == "precious"


# --- the data ---------------------------------------------------------------------------------------------


def test_empty_dataset_is_unusable_data(tmp_path: Path) -> None:
    write_sums(tmp_path)
    (tmp_path / "train.jsonl").write_text("")
    assert_clear(run_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path), 4, "sums", "train", "empty")
    assert_whole(tmp_path / "out")


def test_dataset_without_a_valid_row_is_unusable_data_with_counts(tmp_path: Path) -> None:
    write_sums(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"question": "1?", "solution": "s", "gold": "many"}\n' * 3)
    result = run_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path)
    assert_clear(result, 4, "no valid row", "3 rejected", "3 not-a-number")


def test_missing_data_file_says_where_paths_start(tmp_path: Path) -> None:
    write_sums(tmp_path)
    (tmp_path / "train.jsonl").unlink()
    assert_clear(run_exgrpo("run", "sums.exg", cwd=tmp_path), 3, "train.jsonl", "relative to")


# --- the teacher ------------------------------------------------------------------------------------------


def test_teacher_that_refuses_the_connection(tmp_path: Path) -> None:
    write_sums(tmp_path)
    env = {"TEACHER_BASE_URL": "http://127.0.0.1:9/v1", "TEACHER_API_KEY": "k"}
    result = run_exgrpo("run", "sums.exg", "--out", "out", "--set", "tutor.tries=2", cwd=tmp_path, env=env)
    assert_clear(result, 3, "http://127.0.0.1:9/v1", "tutor")
    assert_whole(tmp_path / "out")


def test_teacher_that_answers_html(tmp_path: Path) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = b"<!doctype html><title>Welcome</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None: ...

    write_sums(tmp_path)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    env = {"TEACHER_BASE_URL": f"http://127.0.0.1:{http.server_address[1]}", "TEACHER_API_KEY": "k"}
    result = run_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path, env=env)
    http.shutdown()
    assert_clear(result, 3, "HTML", "/v1")
    assert_whole(tmp_path / "out")


def test_missing_key_variable_is_named(tmp_path: Path) -> None:
    write_sums(tmp_path)
    result = run_exgrpo("run", "sums.exg", cwd=tmp_path, env={"TEACHER_BASE_URL": "http://127.0.0.1:9/v1"})
    assert_clear(result, 3, "TEACHER_API_KEY")


# --- the disk ---------------------------------------------------------------------------------------------


def can_mount() -> bool:
    tool = shutil.which("unshare")
    command = "mount -t tmpfs -o size=64k tmpfs /mnt"
    return (
        tool is not None
        and subprocess.run([tool, "-rm", "sh", "-c", command], capture_output=True).returncode == 0
    )


def run_on_tmpfs(directory: Path, options: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs sums.exg with --out on a file system of its own, and lists afterwards what it left there."""
    (directory / "disk").mkdir()
    command = " ".join(build_command("run", "sums.exg", "--out", "disk/out"))
    script = f"mount -t tmpfs -o {options} tmpfs disk && {command}; code=$?; find disk -name '*.part' -o -name '*.tmp'; exit $code"
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=directory,
        env=build_environment(env),
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(not can_mount(), reason="mounting a small file system needs user namespaces")
@pytest.mark.parametrize("size", ["16k", "400k"])
def test_full_disk_stops_with_one_message(tmp_path: Path, size: str) -> None:
    write_sums(tmp_path)
    with serve_teacher(answer_sums) as server:
        result = run_on_tmpfs(tmp_path, f"size={size}", server.env)
    assert_clear(result, 3, "disk is full", "--resume")
    assert ".part" not in result.stdout
    assert ".tmp" not in result.stdout


@pytest.mark.skipif(not can_mount(), reason="mounting a read-only file system needs user namespaces")
def test_read_only_run_directory(tmp_path: Path) -> None:
    write_sums(tmp_path)
    assert_clear(run_on_tmpfs(tmp_path, "ro", {}), 3, "read-only")


def test_run_directory_below_a_file(tmp_path: Path) -> None:
    write_sums(tmp_path)
    (tmp_path / "file").write_text("")
    assert_clear(
        run_exgrpo("run", "sums.exg", "--out", "file/out", cwd=tmp_path), 3, "file/out", "cannot be written"
    )


def test_run_directory_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    write_sums(tmp_path)
    first = run_exgrpo("run", "sums.exg", "--out", "out", "--stage", "data", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert_clear(
        run_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path), 2, "already holds a run", "--resume"
    )


# --- stopping and going on --------------------------------------------------------------------------------


def wait_for_stage(
    run_dir: Path, stage: str, process: subprocess.Popen[str], *, inside: str | None = None
) -> None:
    """Waits until the stage is under way (and has written the file `inside`)."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for work in (run_dir / "stages").glob(f".*-{stage}.part"):
            if inside is None or list(work.glob(inside)):
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    raise AssertionError(f"stage {stage} never began")


@pytest.mark.parametrize("stage", ["probe", "warmup", "train", "test"])
def test_ctrl_c_at_any_stage_leaves_only_whole_stages(tmp_path: Path, stage: str) -> None:
    write_sums(tmp_path)
    slow = ("--set", "train.steps=500", "--set", "warmup.epochs=500", "--set", "test.max_new=2000tok")
    chosen = {"probe": (), "warmup": slow[2:4], "train": slow[:2], "test": ()}[stage]
    delay = 0.2 if stage == "probe" else 0.0
    with serve_teacher(answer_sums, before=lambda _: time.sleep(delay)) as server:
        process = start_exgrpo("run", "sums.exg", "--out", "out", *chosen, cwd=tmp_path, env=server.env)
        wait_for_stage(tmp_path / "out", stage, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "interrupted" in output
    assert_whole(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize("stage", ["probe", "train"])
def test_kill_then_resume_finishes_the_same_stages_and_asks_no_stored_probe_again(
    tmp_path: Path, stage: str
) -> None:
    write_sums(tmp_path)
    steps = ("--set", "train.steps=40")
    with serve_teacher(answer_sums, before=lambda _: time.sleep(0.05)) as server:
        process = start_exgrpo("run", "sums.exg", "--out", "out", *steps, cwd=tmp_path, env=server.env)
        wait_for_stage(tmp_path / "out", stage, process)
        deadline = time.monotonic() + 60
        while stage == "probe" and len(server.prompts) < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stored = count_replies(tmp_path / "out" / "replies.sqlite")
        before = len(server.prompts)
        result = run_exgrpo(
            "run", "sums.exg", "--out", "out", "--resume", *steps, cwd=tmp_path, env=server.env
        )
        asked = server.prompts
    assert result.returncode == 0, result.stdout + result.stderr
    assert_whole(tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "stages").glob("[0-9]*"))
    assert names == ["00-data", "01-probe", "02-warmup", "03-train", "04-test"]
    # Twelve probes and twelve consistency checks; what the kill lost is at most what was in flight.
    assert len(asked) - before == 24 - stored
    assert len(set(asked)) == 24
    if stage == "train":
        assert len(asked) == before == 24
        assert result.stdout.count("reused") == 3


def count_replies(path: Path) -> int:
    import sqlite3

    with sqlite3.connect(path) as connection:
        return int(connection.execute("select count(*) from replies").fetchone()[0])


def test_second_run_in_the_same_directory_waits_its_turn(tmp_path: Path) -> None:
    write_sums(tmp_path)
    with serve_teacher(answer_sums, before=lambda _: time.sleep(0.5)) as server:
        process = start_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path, env=server.env)
        wait_for_stage(tmp_path / "out", "probe", process)
        result = run_exgrpo("run", "sums.exg", "--out", "out", "--resume", cwd=tmp_path, env=server.env)
        process.kill()
        process.communicate()
    assert_clear(result, 3, "in use by another run")


# --- what is not ours -------------------------------------------------------------------------------------


def test_run_leaves_a_directory_that_holds_something_else_alone(tmp_path: Path) -> None:
    write_sums(tmp_path)
    precious = {"artifact/notes.txt": "a", "stages/2024-results/a": "b", "metrics.jsonl": "c"}
    for name, text in precious.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    result = run_exgrpo("run", "sums.exg", "--out", "mine", "--stage", "data", cwd=tmp_path)
    assert_clear(result, 2, "mine is not empty and holds no run")
    assert {name: (tmp_path / "mine" / name).read_text() for name in precious} == precious


def test_compile_leaves_a_manifest_of_another_program_alone(tmp_path: Path) -> None:
    write_sums(tmp_path)
    app = tmp_path / "build" / "sums_exgrpo"
    (app / "src").mkdir(parents=True)
    (app / "manifest.json").write_text('{"name": "my web app"}')
    assert_clear(run_exgrpo("compile", "sums.exg", cwd=tmp_path), 2, "is not an artifact")
    assert (app / "src").is_dir()


def test_resume_of_another_task_is_refused(tmp_path: Path) -> None:
    spec = write_sums(tmp_path)
    assert run_exgrpo("run", "sums.exg", "--out", "out", "--stage", "data", cwd=tmp_path).returncode == 0
    (tmp_path / "other.exg").write_text(spec.read_text().replace("task sums_exgrpo", "task other"))
    result = run_exgrpo("run", "other.exg", "--out", "out", "--resume", cwd=tmp_path)
    assert_clear(result, 2, "holds a run of task `sums_exgrpo`, not of `other`")


def test_report_of_a_failed_resume_does_not_show_the_results_of_the_run_before(tmp_path: Path) -> None:
    write_sums(tmp_path)
    with serve_teacher(answer_sums) as server:
        options = ("--out", "out", "--stage", "probe")
        assert run_exgrpo("run", "sums.exg", *options, cwd=tmp_path, env=server.env).returncode == 0
        assert "why" in (tmp_path / "out" / "report.html").read_text()
        source = 'sums.source=jsonl(train: "gone.jsonl", test: "test.jsonl")'
        result = run_exgrpo(
            "run", "sums.exg", "--out", "out", "--resume", "--set", source, cwd=tmp_path, env=server.env
        )
    assert_clear(result, 3, "gone.jsonl")
    outcome = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (outcome["status"], outcome["stages"]) == ("failed", [])
    assert "Probes of stage probe" not in (tmp_path / "out" / "report.html").read_text()


def test_a_missing_key_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    spec = write_sums(tmp_path)
    first = "stage base = sft(plain_sums)\n  stage probe  = invert"
    plain = (
        'dialogue plain_sums(item: sums) {\n  user = "{{ item.question }}"\n'
        '  assistant final = "{{ item.solution }}"\n}\n\nreward'
    )
    spec.write_text(spec.read_text().replace("stage probe  = invert", first).replace("reward", plain, 1))
    result = run_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path, env={"TEACHER_BASE_URL": "http://x"})
    assert_clear(result, 3, "TEACHER_API_KEY")
    assert not list((tmp_path / "out" / "stages").glob("*-base"))


@pytest.mark.parametrize("out", ["/proc/nowhere/x", "x" * 300, "loop/x"])
def test_odd_output_paths_are_the_disk_and_not_a_bug(tmp_path: Path, out: str) -> None:
    write_sums(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert_clear(run_exgrpo("run", "sums.exg", "--out", out, cwd=tmp_path), 3, "cannot be written")
    assert_clear(run_exgrpo("compile", "sums.exg", "-o", out, cwd=tmp_path), 3, "cannot be written")


def test_a_device_is_no_spec(tmp_path: Path) -> None:
    assert_clear(run_exgrpo("check", "/dev/zero", cwd=tmp_path), 2, "/dev/zero", "no regular file")


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
def test_ctrl_c_while_starting_is_130_without_a_traceback(tmp_path: Path, delay: float) -> None:
    write_sums(tmp_path)
    with serve_teacher(answer_sums, before=lambda _: time.sleep(0.3)) as server:
        process = start_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path, env=server.env)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    if "Traceback" in output and "exgrpo_dsl" not in output.replace("-m exgrpo_dsl", ""):
        pytest.skip("the signal came before Python ran any code of ours")
    assert process.returncode == 130, output
    assert "Traceback" not in output
    if (tmp_path / "out").exists():
        assert_whole(tmp_path / "out")
