//! The action for GitHub: its shell, run as a runner runs it.
//!
//! Invariant: what is run is what stands in action/action.yml. A runner itself is not there: that inputs come as
//! variables is taken from its documentation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::text;

/// What `afterimage new cow` writes, of which the second scenario, which is proved, is held to be refuted: line 30.
fn scenarios() -> String {
    let written = text(&crate::afterimage(&["new", "cow", "-"]).stdout);
    let (first, second) = written.split_once("\nexpect  proved").expect("the second is proved");
    format!("{first}\nexpect  violation{second}")
}

/// The shell of the step that is called so.
fn step(name: &str) -> String {
    let action = Path::new(env!("CARGO_MANIFEST_DIR")).join("../action/action.yml");
    let all = fs::read_to_string(action).expect("it is there");
    let (_, step) = all.split_once(&format!("    - name: {name}\n")).expect("it has the step");
    let step = step.split("\n    - name: ").next().unwrap_or_default();
    let (_, run) = step.split_once("      run: |\n").expect("it runs something");
    run.lines().map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line))).collect()
}

/// A workspace with the scenarios, which goes with the test.
struct Workspace(PathBuf);

impl Workspace {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("afterimage-action-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        fs::write(path.join("some.scn"), scenarios()).expect("it can be written");
        Self(path)
    }

    /// The step `Check` with these inputs; those that are not named are as action.yml has them.
    fn check(&self, inputs: &[(&str, &str)]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_afterimage")).parent().expect("it is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &step("Check")])
            .current_dir(&self.0)
            .env("PATH", format!("{}:{path}", program.display()))
            .env("GITHUB_STEP_SUMMARY", self.0.join("summary"))
            .env("GITHUB_WORKSPACE", &self.0)
            .envs([("PATHS", "some.scn"), ("COMMAND", "check"), ("ARGUMENTS", ""), ("SARIF", "")])
            .envs([("JUNIT", ""), ("SUMMARY", "true")])
            .envs(inputs.iter().copied())
            .stdin(Stdio::null());
        command.output().expect("there is a shell")
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What is left of it is in a folder of temporary files.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_action_shows_what_is_wrong_beside_its_line_and_writes_its_files() {
    let workspace = Workspace::new("files");
    let output = workspace.check(&[("SARIF", "out.sarif"), ("JUNIT", "out.xml")]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("::error file=some.scn,line=30,"), "{}", text(&output.stdout));
    assert!(workspace.file("out.sarif").contains("\"uri\": \"some.scn\""), "{}", workspace.file("out.sarif"));
    assert!(workspace.file("out.xml").contains("failures=\"1\""), "{}", workspace.file("out.xml"));
    assert!(
        workspace.file("summary").contains("| cow-notify-before-set | PROVED | **no** |"),
        "{}",
        workspace.file("summary")
    );
}

#[test]
fn the_action_takes_its_inputs_word_by_word_and_runs_nothing_of_them() {
    let workspace = Workspace::new("words");
    let inputs =
        [("PATHS", "\nsome.scn\n"), ("ARGUMENTS", "--scenario\ncow-notify-late\n"), ("SUMMARY", "false")];
    let output = workspace.check(&inputs);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(workspace.file("summary"), "");
    let output = workspace.check(&[("PATHS", "$(touch run).scn\n--output=some.scn"), ("SUMMARY", "false")]);
    assert_ne!(output.status.code(), Some(0));
    assert!(!workspace.0.join("run").exists() && workspace.file("some.scn") == scenarios());
    let output = workspace.check(&[("COMMAND", "boot; touch run")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("::error::command is check or race"));
    assert!(!workspace.0.join("run").exists());
}
