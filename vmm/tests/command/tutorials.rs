//! The tutorials, followed as they are typed.
//!
//! Invariant: each command of a page runs in one shell, in a folder that was empty before, and says what the page says it
//! does; one that fails has the page say so by `echo $?`. Numbers in front of a unit of time, or of a rate, are not compared;
//! `…` stands for any text, and on a line of its own for any lines.

mod page;
mod said;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::has_kvm;
use page::{Block, Page};
use said::agrees;

/// Where they stand.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorials")
}

/// An empty folder for the page `name`, which goes with the test.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("afterimage-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("home")).expect("a folder can be made");
        fs::create_dir_all(path.join("bin")).expect("a folder can be made");
        symlink(env!("CARGO_BIN_EXE_afterimage"), path.join("bin/afterimage")).expect("a link can be made");
        Self(path)
    }

    /// What the shell says and returns of `script`.
    fn run(&self, script: &str) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", &format!("exec 2>&1\n{script}")])
            .current_dir(self.0.join("home"))
            .env("PATH", format!("{}:{path}", self.0.join("bin").display()))
            .env("AFTERIMAGE_LOG", "error")
            .env_remove("BASH_ENV")
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // What is left of it is in a folder of temporary files.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// What is wrong with the page, command by command; and how many commands said what they should.
fn follow(name: &str, text: &str) -> (Vec<String>, usize) {
    let page = Page::read(text);
    let desk = Desk::new(name);
    let (mut faults, mut followed) = (page.faults.clone(), 0);
    for block in &page.blocks {
        match block {
            Block::File { name, is_added, text } => {
                let path = desk.0.join("home").join(name);
                let before =
                    if *is_added { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
                fs::write(path, before + text).expect("a file can be written");
            }
            Block::Console { needs_kvm, .. } if *needs_kvm && !has_kvm() => {}
            Block::Console { commands, .. } => {
                // Each command's output ends with a mark and its status, and the next one still sees that.
                let steps = commands.iter().map(|command| {
                    format!("{}\n__=$?; printf '\\036%d\\036' $__; (exit $__)\n", command.typed)
                });
                let said = desk.run(&steps.collect::<String>());
                let mut said = said.split('\x1e');
                for (at, command) in commands.iter().enumerate() {
                    let output = said.next().unwrap_or_default();
                    let status = said.next().unwrap_or("none");
                    let is_asked = commands.get(at + 1).is_some_and(|next| next.typed == "echo $?");
                    if !agrees(&command.expected, output) {
                        let expected = command.expected.join("\n");
                        faults.push(format!(
                            "line {}: $ {}\nthe page has:\n{expected}\nit says:\n{output}",
                            command.line, command.typed
                        ));
                    } else if status != "0" && !is_asked {
                        faults.push(format!("line {}: $ {}: status {status}", command.line, command.typed));
                    } else {
                        followed += 1;
                    }
                }
            }
        }
    }
    (faults, followed)
}

/// Follows a page that has at least `commands`.
fn holds(name: &str, commands: usize) {
    let text = fs::read_to_string(folder().join(format!("{name}.md"))).expect("the page is there");
    let (faults, followed) = follow(name, &text);
    assert!(faults.is_empty(), "docs/tutorials/{name}.md\n{}", faults.join("\n\n"));
    assert!(!has_kvm() || followed >= commands, "{name}: {followed} commands were followed, not {commands}");
}

#[test]
fn a_developer_of_memory_management_can_follow_their_page() {
    holds("memory-management", 7);
}

#[test]
fn an_author_of_an_iommu_driver_can_follow_their_page() {
    holds("iommu-driver", 8);
}

#[test]
fn who_launches_guests_can_follow_their_page() {
    holds("guests", 11);
}

#[test]
fn who_experiments_with_dma_can_follow_their_page() {
    holds("dma", 7);
}

#[test]
fn there_is_no_tutorial_that_nobody_follows() {
    let mut names: Vec<_> = fs::read_dir(folder())
        .expect("tutorials are there")
        .flatten()
        .map(|entry| entry.file_name().into_string().expect("a name is text"))
        .collect();
    names.sort();
    assert_eq!(names, ["dma.md", "guests.md", "iommu-driver.md", "memory-management.md"]);
}

#[test]
fn a_page_that_says_something_else_is_noticed() {
    let right = "```text a.txt\none\n```\n\n```text +a.txt\ntwo\n```\n\n```console\n$ cat a.txt\none\ntwo\n$ false\n$ echo $?\n1\n```\n";
    assert_eq!(follow("self", right), (vec![], 3));
    for (there, wrong) in
        [("one\ntwo\n$", "one\n$"), ("$ echo $?\n1\n", ""), ("$ cat", "$ tac"), ("\n1\n", "\n…2\n")]
    {
        let (faults, _) = follow("self", &right.replacen(there, wrong, 1));
        assert!(!faults.is_empty(), "{there:?} -> {wrong:?}");
    }
    let (faults, _) = follow("self", "```console\nno command\n```\n");
    assert!(!faults.is_empty(), "a line before the first command");
}
