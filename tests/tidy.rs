//! Keeps the house tidy: reads the repository's own files and holds them against its rules.
//!
//! Invariant: a rule is one test, and its name is the rule. A failure lists every place that breaks it as
//! `file:line: what is wrong; what to do`. Source: ARCHITECTURE.md, "Who may import whom" and "Rules of the house".

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

mod tidy {
    mod circles;
    mod documents;
    mod links;
    mod seams;
}

/// Which crates of the workspace each crate may import, in both columns by folder.
const MAY_IMPORT: [(&str, &[&str]); 20] = [
    ("steps", &[]),
    ("tracks", &[]),
    ("mmu", &["steps"]),
    ("pcie", &["mmu"]),
    ("iommu", &["steps", "mmu", "pcie"]),
    ("devices", &["mmu", "pcie", "iommu"]),
    ("ordering", &["steps"]),
    ("observe", &["steps", "ordering"]),
    ("picture", &["ordering", "tracks"]),
    ("race", &["steps", "mmu", "pcie", "iommu", "ordering"]),
    ("afterimage", &["mmu", "pcie", "iommu", "ordering"]),
    ("guest-images", &[]),
    ("guest-images/driver", &[]),
    (
        "vmm",
        &[
            "steps",
            "tracks",
            "mmu",
            "pcie",
            "iommu",
            "devices",
            "ordering",
            "observe",
            "picture",
            "race",
            "guest-images",
        ],
    ),
    ("packaging", &["vmm"]),
    ("tests", &["steps", "mmu", "pcie", "iommu", "devices", "ordering", "race", "guest-images", "vmm"]),
    ("tests/guard", &["mmu", "pcie", "iommu", "ordering"]),
    ("tests/lab", &[]),
    ("tests/lab/programs", &[]),
    ("fuzz", &["tests"]),
];

/// Dependencies that belong to some crates only.
const KEPT_TO: [(&str, &[&str]); 3] =
    [("kvm-ioctls", &["vmm"]), ("kvm-bindings", &["vmm"]), ("libc", &["mmu", "vmm", "tests/lab/programs"])];

/// The only file of `mmu` that calls libc.
const HOST: &str = "mmu/src/host.rs";

/// The files that may hold unsafe code, each with what it cannot do without.
const UNSAFE: [(&str, &str); 36] = [
    (HOST, "maps physical memory, and words of it are shared with a guest"),
    ("mmu/src/cache/table.rs", "maps a cache's sets without touching their pages"),
    ("vmm/src/command/boot/net/tap.rs", "asks for an interface by ioctl, and borrows a descriptor by number"),
    ("tests/lab/programs/src/space.rs", "VFIO takes memory by address"),
    ("vmm/src/command/observe/record/pages.rs", "maps pages, and changes their mapping while they are used"),
    ("tests/benches/peers/ksmd.rs", "ksmd takes memory by address"),
    (
        "tests/lab/programs/src/bin/lab-sva/memory.rs",
        "maps pages, changes their mapping, and shares their words with a device",
    ),
    (
        "tests/lab/programs/src/bin/lab-sva/process.rs",
        "fork, and system calls that take addresses of structures",
    ),
    ("vmm/src/kvm/vm.rs", "KVM takes a memory slot by address"),
    ("vmm/src/kvm/vcpu/signal.rs", "a signal handler writes a byte of kvm_run"),
    ("vmm/src/sandbox/descriptors.rs", "closes descriptors by number, before anybody owns one"),
    ("vmm/src/sandbox/filter.rs", "seccomp(2) takes a pointer"),
    ("vmm/src/sandbox/tests/raw.rs", "makes system calls that no library makes"),
    ("vmm/src/sandbox/violation.rs", "a signal handler reads siginfo"),
    ("guest-images/src/assembled.rs", "the ends of an image are symbols of the assembler"),
    ("guest-images/src/bare/echo.rs", "assembled"),
    ("guest-images/src/bare/flood.rs", "assembled"),
    ("guest-images/src/bare/edu.rs", "assembled"),
    ("guest-images/src/bare/hello.rs", "assembled"),
    ("guest-images/src/bare/hypercall.rs", "assembled"),
    ("guest-images/src/bare/outs.rs", "assembled"),
    ("guest-images/src/bare/button.rs", "assembled"),
    ("guest-images/src/bare/panic.rs", "assembled"),
    ("guest-images/src/bare/reset.rs", "assembled"),
    ("guest-images/src/bare/testdev.rs", "assembled"),
    ("guest-images/src/bare/timers.rs", "assembled"),
    ("guest-images/src/bare/triple_fault.rs", "assembled"),
    ("guest-images/driver/src/hardware.rs", "memory that devices share, and ports"),
    ("guest-images/driver/src/hostile/raw.rs", "memory and ports, wherever they are"),
    ("guest-images/driver/src/hostile/processors.rs", "assembled"),
    ("guest-images/driver/src/start.rs", "assembled"),
    ("guest-images/src/stub.rs", "assembled"),
    ("guest-images/src/program/coherence.rs", "assembled"),
    ("guest-images/src/program/first_output.rs", "assembled"),
    ("guest-images/src/program/player.rs", "assembled"),
    ("guest-images/src/program/probe.rs", "assembled"),
];

/// This file names what it forbids.
const THIS: &str = "tests/tidy.rs";

const MOST_LINES: usize = 500;

/// A text file of the repository.
struct File {
    /// Relative to the repository's root.
    path: String,
    text: String,
}

impl File {
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn is_test(&self) -> bool {
        self.path.contains("tests/") || self.name().ends_with("tests.rs")
    }

    /// The lines before an inline module of tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().take_while(|(_, line)| line.trim() != "mod tests {")
    }
}

/// Every text file of the repository, without what git and cargo keep in it.
fn files() -> Vec<File> {
    let root = &tests_support::repository();
    let mut found = Vec::new();
    collect(root, root, &mut found);
    assert!(found.len() > 50, "{} files below {}: not the repository", found.len(), root.display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read").flatten() {
        let path = entry.path();
        // What is linked stands where it is linked from, too.
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            continue;
        }
        let is_build_output = path.join("CACHEDIR.TAG").exists() || path == root.join("target");
        if path.is_dir() {
            if !is_build_output && entry.file_name() != ".git" {
                collect(root, &path, found);
            }
        } else if let (Ok(text), Ok(relative)) = (fs::read_to_string(&path), path.strip_prefix(root)) {
            found.push(File { path: relative.display().to_string(), text });
        }
    }
}

fn sources() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn manifests() -> Vec<(&'static str, File)> {
    let manifest = |file: File| {
        let folder = file.path.strip_suffix("/Cargo.toml")?.to_owned();
        let (known, _) = MAY_IMPORT.iter().find(|(known, _)| *known == folder)?;
        Some((*known, file))
    };
    let found: Vec<_> = files().into_iter().filter_map(manifest).collect();
    assert_eq!(found.len(), MAY_IMPORT.len(), "a crate has moved; say in tests/tidy.rs what it may import");
    found
}

/// The names of a manifest's dependencies, of every kind, with their lines.
fn dependencies(manifest: &File) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.is_empty() {
            found.push((number, line.split(['.', ' ', '=']).next().unwrap_or(line)));
        }
    }
    found
}

fn fault(file: &File, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", file.path)
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The lines of `file` that contain one of `words`, each with what to do about it.
fn matches(file: &File, words: &[(&str, &str)]) -> Vec<String> {
    let found = |(number, line): (usize, &str)| {
        let (word, remedy) = words.iter().find(|(word, _)| line.contains(word))?;
        Some(fault(file, number, &format!("`{word}`; {remedy}")))
    };
    file.lines().filter_map(found).collect()
}

#[test]
fn a_crate_imports_only_crates_above_it() {
    let mut faults = Vec::new();
    for (folder, manifest) in manifests() {
        let may =
            |other: &str| MAY_IMPORT.iter().any(|(known, above)| *known == folder && above.contains(&other));
        for (number, name) in dependencies(&manifest) {
            if name.strip_prefix("afterimage-").is_some_and(|other| !may(other)) {
                faults.push(fault(&manifest, number, "not above this crate; move what is shared upwards"));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn kvm_is_spoken_to_in_vmm_only() {
    let mut faults = Vec::new();
    for (folder, manifest) in manifests() {
        for (number, name) in dependencies(&manifest) {
            if KEPT_TO.iter().any(|(kept, owners)| *kept == name && !owners.contains(&folder)) {
                faults.push(fault(&manifest, number, "kept to other crates; ask through one of their types"));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn in_mmu_only_host_rs_calls_libc() {
    let others = sources().into_iter().filter(|file| file.path.starts_with("mmu/") && file.path != HOST);
    let faults: Vec<_> =
        others.flat_map(|file| matches(&file, &[("libc::", "put the call into mmu/src/host.rs")])).collect();
    assert_none(&faults);
}

#[test]
fn unsafe_code_stands_in_the_listed_files_only() {
    let listed = |file: &File| UNSAFE.iter().any(|(path, _)| *path == file.path);
    let mut faults = Vec::new();
    let mut open = Vec::new();
    for file in sources() {
        // The compiler denies unsafe code wherever no attribute opens it.
        let attribute = |line: &str| line.trim_start().starts_with('#') && line.contains("unsafe_code");
        let Some((number, line)) = file.lines().find(|(_, line)| attribute(line)) else { continue };
        if !line.starts_with("#![") || !line.contains("expect(unsafe_code, reason = ") {
            faults.push(fault(&file, number, "open it by #![expect(unsafe_code, reason = …)] in the header"));
        }
        if !listed(&file) {
            faults.push(fault(
                &file,
                number,
                "do without unsafe code, or say in UNSAFE of tests/tidy.rs why not",
            ));
        }
        open.push(file.path);
    }
    let closed = UNSAFE.iter().filter(|(path, _)| !open.iter().any(|opened| opened == path));
    faults.extend(closed.map(|(path, _)| format!("{path}:1: opens no unsafe code; take it off UNSAFE")));
    assert_none(&faults);
}

#[test]
fn every_crate_obeys_the_workspace_lints() {
    let deaf = manifests().into_iter().filter(|(_, file)| !file.text.contains("[lints]\nworkspace = true"));
    let faults: Vec<_> =
        deaf.map(|(_, file)| fault(&file, 1, "add the section [lints] with workspace = true")).collect();
    assert_none(&faults);
}

#[test]
fn every_source_opens_with_a_header() {
    let bare = sources().into_iter().filter(|file| !file.text.starts_with("//! "));
    let faults: Vec<_> = bare
        .map(|file| fault(&file, 1, "no header; say in //! lines what the file is and what always holds"))
        .collect();
    assert_none(&faults);
}

#[test]
fn every_kernel_source_says_its_license() {
    let modules = files()
        .into_iter()
        .filter(|file| file.path.starts_with("tests/lab/module/lab_") || file.path.ends_with(".h"));
    let silent = modules.filter(|file| {
        !file.lines().take(1).any(|(_, line)| line.contains("SPDX-License-Identifier: GPL-2.0"))
    });
    let faults: Vec<_> = silent.map(|file| fault(&file, 1, "say SPDX-License-Identifier: GPL-2.0")).collect();
    assert_none(&faults);
}

#[test]
fn no_source_is_too_long_to_read() {
    let long = |file: &File| file.name() != "tests.rs" && file.lines().count() > MOST_LINES;
    let faults: Vec<_> = sources()
        .iter()
        .filter(|file| long(file))
        .map(|file| fault(file, MOST_LINES, "the file goes on after 500 lines; split it by what it is about"))
        .collect();
    assert_none(&faults);
}

#[test]
fn nothing_is_hidden_skipped_or_left_undone() {
    const FORBIDDEN: [(&str, &str); 6] = [
        ("#[path", "put the file where its module is"),
        ("#[ignore", "a test runs or is deleted; one that needs KVM says `skipped: …` and passes"),
        ("todo!(", "do it, or leave it out"),
        ("unimplemented!(", "do it, or leave it out"),
        ("/// See there.", "say what it is in one sentence"),
        ("/// See the module.", "say what it is in one sentence"),
    ];
    let mut faults = Vec::new();
    for file in sources().iter().filter(|file| file.path != THIS) {
        faults.extend(matches(file, &FORBIDDEN));
        if file.name() == "mod.rs" {
            faults.push(fault(file, 1, "name it foo.rs, beside its folder foo/"));
        }
    }
    assert_none(&faults);
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut faults = Vec::new();
    for file in sources().iter().filter(|file| file.path.contains("/src/") && !file.is_test()) {
        for (number, _) in file.code().filter(|(_, line)| line.contains(".unwrap()")) {
            faults.push(fault(file, number, "return the error, or assert with a sentence"));
        }
    }
    assert_none(&faults);
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    const PLACES: [(&str, &str); 4] = [
        ("/work/", "name it relative to the repository"),
        ("/root/", "name it relative to the repository"),
        ("../shared", "write down here what is needed of it"),
        ("/tmp/", "use std::env::temp_dir() or mktemp"),
    ];
    let others = files().into_iter().filter(|file| file.path != THIS);
    let faults: Vec<_> = others.flat_map(|file| matches(&file, &PLACES)).collect();
    assert_none(&faults);
}

#[test]
fn every_decision_is_numbered_once() {
    let mut faults = Vec::new();
    let mut numbers = BTreeSet::new();
    for file in files().iter().filter(|file| file.path.starts_with("docs/decisions/")) {
        let (number, title) = file.name().split_once('-').unwrap_or_default();
        if number.len() != 4 || number.parse::<u16>().is_err() || !title.ends_with(".md") {
            faults.push(fault(file, 1, "name it NNNN-title.md"));
        } else if !numbers.insert(number.to_owned()) {
            faults.push(fault(file, 1, "its number is taken; give it the next free one"));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_crate_says_what_it_is_and_every_model_what_it_leaves_out() {
    const MODELS: [&str; 3] = ["mmu", "iommu", "devices"];
    let files = files();
    let mut faults = Vec::new();
    for (folder, _) in MAY_IMPORT {
        let path = format!("{folder}/README.md");
        match files.iter().find(|file| file.path == path) {
            None => faults.push(format!("{path}:1: missing; say in 5 to 15 lines what the crate is")),
            Some(file) if MODELS.contains(&folder) && !file.text.contains("| modelled | not modelled |") => {
                faults.push(fault(file, 1, "add the table `| modelled | not modelled |`"));
            }
            Some(_) => {}
        }
    }
    assert_none(&faults);
}

/// The sources that are held against the rules for what a scenario means.
fn meanings() -> Vec<File> {
    let means = |file: &File| {
        ["steps/src/", "ordering/src/", "race/src/"].iter().any(|folder| file.path.starts_with(folder))
    };
    let held = |file: &File| means(file) && !file.is_test();
    sources().into_iter().filter(held).collect()
}

/// The lines of a `match` that ends in a rest (`_ =>`) although another of its arms, as far to the left, names a variant.
fn rests_of_matches(file: &File) -> Vec<usize> {
    let lines: Vec<_> = file.code().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    // `Verb::Lock`, and not the call `Way::new` or the constant `Bits::NONE`.
    let is_variant = |path: &str| {
        let name = path.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or(path);
        name.starts_with(char::is_uppercase) && name.chars().any(char::is_lowercase)
    };
    let names_variant = |line: &str| {
        let pattern = line.split("=>").next().unwrap_or(line);
        pattern.split("::").skip(1).any(is_variant)
    };
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        if !line.trim_start().starts_with("_ =>") && !line.trim_start().starts_with("_ if ") {
            continue;
        }
        let own = lines[..at]
            .iter()
            .rev()
            .map(|(_, line)| *line)
            .take_while(|above| above.trim().is_empty() || indent(above) >= indent(line));
        if own.filter(|above| indent(above) == indent(line)).any(names_variant) {
            found.push(*number);
        }
    }
    found
}

#[test]
fn a_match_over_variants_lists_them() {
    let mut faults = Vec::new();
    for file in meanings() {
        let remedy = "list the variants, so that a new one is decided here";
        faults.extend(rests_of_matches(&file).into_iter().map(|line| fault(&file, line, remedy)));
    }
    assert_none(&faults);
}

#[test]
fn nothing_that_is_missing_becomes_a_value() {
    const DEFAULTS: [(&str, &str); 7] = [
        ("unwrap_or(0)", "report the text, or `expect` with the rule that was broken"),
        ("unwrap_or(\"\")", "report the text, or `expect` with the rule that was broken"),
        ("unwrap_or_default()", "report the text, or `expect` with the rule that was broken"),
        ("unwrap_or(u16::MAX)", "report the text, or `expect` with the rule that was broken"),
        ("unwrap_or(u32::MAX)", "report the text, or `expect` with the rule that was broken"),
        ("unwrap_or(usize::MAX)", "report the text, or `expect` with the rule that was broken"),
        ("unwrap_or(&STEPS", "index what has a row for each variant"),
    ];
    let faults: Vec<_> = meanings().iter().flat_map(|file| matches(file, &DEFAULTS)).collect();
    assert_none(&faults);
}

#[test]
fn a_rest_is_found_only_beside_variants() {
    let file = |text: &str| File { path: "a.rs".to_owned(), text: text.to_owned() };
    let found = |text: &str| rests_of_matches(&file(text));
    let arms = |first: &str| format!("match x {{\n    {first} => 1,\n    _ => 2,\n}}\n");
    for first in ["Verb::Lock", "Some(Meaning::Page(_))", "(Guard::Is(..), _)", "Self::Cpu | Self::Device"] {
        assert_eq!(found(&arms(first)), [3], "{first}");
    }
    for first in ["\"lock\"", "Some(1)", "b'#'", "0"] {
        assert_eq!(found(&arms(first)), [0; 0], "{first}");
    }
    assert_eq!(
        found("match x {\n    0 => Verb::Lock,\n    _ => Verb::Unlock,\n}\n"),
        [0; 0],
        "what it yields"
    );
    assert_eq!(
        found("match x {\n    A::B => match y {\n        1 => 1,\n        _ => 2,\n    },\n}\n"),
        [0; 0]
    );
}
