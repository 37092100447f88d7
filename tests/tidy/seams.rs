//! Seams that a crate's manifest cannot keep: what the code on one side may not name of the other.
//!
//! Invariant: comments and tests may; only what is compiled into the crate is held against it.

use crate::{File, assert_none, fault, sources};

/// What the files below a folder may not name, but for some, and what to do instead.
struct Seam {
    folder: &'static str,
    word: &'static str,
    but: &'static [&'static str],
    remedy: &'static str,
}

const SEAMS: [Seam; 3] = [
    Seam {
        folder: "iommu/src/vtd",
        word: "crate::stale",
        but: &[],
        remedy: "tell the witness (iommu/src/vtd/witness.rs), which knows what to make of it",
    },
    Seam {
        folder: "iommu/src/spec",
        word: "crate::vtd",
        but: &[],
        remedy: "layouts know no behaviour; move what is a layout here",
    },
    Seam {
        folder: "devices/src",
        word: "iommu::",
        but: &["devices/src/upstream/remapped.rs", "devices/src/dma_engine.rs"],
        remedy: "a device knows words of PCI Express (pcie) and what is upstream of it, and no remapping unit",
    },
];

impl Seam {
    /// Where `file` names what it may not.
    fn faults(&self, file: &File) -> Vec<String> {
        if !file.path.starts_with(self.folder) || file.is_test() || self.but.contains(&&*file.path) {
            return Vec::new();
        }
        let named =
            |(_, line): &(usize, &str)| !line.trim_start().starts_with("//") && line.contains(self.word);
        let found = file.code().filter(named);
        found.map(|(number, _)| fault(file, number, &format!("`{}`; {}", self.word, self.remedy))).collect()
    }
}

#[test]
fn nobody_names_what_lies_behind_a_seam() {
    let files = sources();
    let faults = |seam: &Seam| files.iter().flat_map(|file| seam.faults(file)).collect::<Vec<_>>();
    let found: Vec<_> = SEAMS.iter().flat_map(faults).collect();
    assert_none(&found);
    let is_there = |path: &str| files.iter().any(|file| file.path.starts_with(path));
    assert!(SEAMS.iter().all(|seam| is_there(seam.folder) && seam.but.iter().all(|path| is_there(path))));
}

#[test]
fn a_seam_holds_for_code_and_not_for_comments_and_tests() {
    let [seam, ..] = SEAMS;
    let count =
        |path: &str, text: &str| seam.faults(&File { path: path.to_owned(), text: text.to_owned() }).len();
    assert_eq!(count("iommu/src/vtd/queue.rs", "use crate::stale::Kind;\nfn f() {}\n"), 1);
    assert_eq!(count("iommu/src/vtd.rs", "fn f() { crate::stale::f() }"), 1);
    assert_eq!(
        count("iommu/src/vtd/queue.rs", "//! As crate::stale does.\nmod tests {\nuse crate::stale;"),
        0
    );
    assert_eq!(count("iommu/src/vtd/tests/queue.rs", "use crate::stale::Kind;"), 0);
    assert_eq!(count("iommu/src/watched.rs", "use crate::stale::Kind;"), 0);
}
