//! The scene around an observed program: frames, users of every kind, and what must not happen.

use crate::order::letter;
use crate::vocabulary::Shape;

/// The whole scenario.
pub(super) fn text(name: &str, shape: Shape, pages: usize, program: &str) -> String {
    let letters: Vec<String> = (0..pages).map(|page| letter(page).to_string()).collect();
    let all = letters.join(", ");
    let head = format!(
        "scenario {name}\nabout   \"{}\"\nsource  \"a trace of a kernel\"\npage    {all}\n",
        about(shape)
    );
    let users = "cpu     T0, T1\nvcpu    V0\ndevice  DEV ats\n";
    let (frames, before, after, agents, properties) = parts(shape, &letters);
    format!("{head}{frames}{users}\nagent mm\n{before}{program}{after}{agents}\n{properties}")
}

fn about(shape: Shape) -> &'static str {
    match shape {
        Shape::Replace => "observed: an entry comes to map another frame",
        Shape::Merge => "observed: an entry comes to map a frame with the same contents",
        Shape::Zap => "observed: an entry is emptied, and its frame given up",
        Shape::Protect => "observed: an entry becomes read-only",
        Shape::Move => "observed: an entry moves to another page",
    }
}

type Parts = (String, String, String, String, String);

fn parts(shape: Shape, letters: &[String]) -> Parts {
    let [frames, before, after, agents, properties] = match shape {
        Shape::Replace => REPLACE.map(str::to_owned),
        Shape::Merge => MERGE.map(str::to_owned),
        Shape::Protect => protect(letters),
        Shape::Zap => zap(letters),
        Shape::Move => MOVE.map(str::to_owned),
    };
    (frames, before, after, agents, properties)
}

const REPLACE: [&str; 5] = [
    "frame   old = 0, new = 9 free\nmap     A -> old ro\nrefs    old = 2\n",
    "  alloc new\n  copy old -> new\n",
    "  put old\n",
    "agent T0 spontaneous\n  store A = 1\nagent T1 spontaneous\n  repeat 0..2: load A\nagent V0 spontaneous\n  repeat 0..2: load A\n\
     agent DEV spontaneous\n  repeat 0..2: dma_read A\n",
    "never   reads A == 0 after T0 writes A\nnever   reads A == 9\n",
];

const MERGE: [&str; 5] = [
    "frame   old = 7, new = 7\nmap     A -> old rw\nrefs    old = 2\n",
    "",
    "  put old\n",
    "agent T0 spontaneous\n  store A = 8\nagent V0 spontaneous\n  load A\nagent DEV spontaneous\n  repeat 0..2: dma_write A = 9 | dma_read A\n",
    "never   use of a freed frame\nnever   writes A after mm put old\nfinally pte(A) != new || content(old) == 7\n",
];

const MOVE: [&str; 5] = [
    "frame   old = 5\nmap     A -> old rw\n",
    "",
    "",
    "agent T1\n  lock ptl(B)\n  if pte(B) == none: goto out\n  pte_clear B\n  flush_tlb B\n  notify B\n  put old\nout:\n  unlock ptl(B)\n\
     agent T0 spontaneous\n  load A\nagent DEV spontaneous\n  dma_read A\n",
    "never   use of a freed frame\n",
];

/// One of each page, as a choice.
fn each(letters: &[String], step: &str) -> String {
    letters.iter().map(|page| step.replace('A', page)).collect::<Vec<_>>().join(" | ")
}

fn protect(letters: &[String]) -> [String; 5] {
    let users = [
        ("T0 spontaneous", "repeat 0..2: ", "store A = 6"),
        ("V0 spontaneous", "repeat 0..2: ", "store A = 7"),
        ("DEV spontaneous", "repeat 0..2: ", "dma_write A = 8"),
    ];
    let agents: String = users
        .iter()
        .map(|(name, repeat, step)| format!("agent {name}\n  {repeat}{}\n", each(letters, step)))
        .collect();
    let never = |page: &String| format!("never   writes {page} after mm unlock mmap_lock\n");
    let (frames, _) = frames(letters);
    [
        frames,
        "  lock mmap_lock\n".to_owned(),
        "  unlock mmap_lock\n".to_owned(),
        agents,
        letters.iter().map(never).collect(),
    ]
}

fn zap(letters: &[String]) -> [String; 5] {
    let (frames, names) = frames(letters);
    let users = [
        ("T0 spontaneous", "load A"),
        ("T1 spontaneous", "store A = 6"),
        ("V0 spontaneous", "load A"),
        ("DEV spontaneous", "dma_write A = 7"),
    ];
    let agents: String =
        users.iter().map(|(name, step)| format!("agent {name}\n  {}\n", each(letters, step))).collect();
    let puts = names.iter().map(|name| format!("  put {name}\n")).collect();
    [frames, String::new(), puts, agents, "never   use of a freed frame\n".to_owned()]
}

/// A frame for each page.
fn frames(letters: &[String]) -> (String, Vec<String>) {
    let name = |index: usize| if index == 0 { "old".to_owned() } else { format!("old{index}") };
    let names: Vec<String> = (0..letters.len()).map(name).collect();
    let declared: Vec<String> = names.iter().map(|name| format!("{name} = 5")).collect();
    let maps: Vec<String> =
        letters.iter().zip(&names).map(|(page, name)| format!("{page} -> {name} rw")).collect();
    (format!("frame   {}\nmap     {}\n", declared.join(", "), maps.join(", ")), names)
}
