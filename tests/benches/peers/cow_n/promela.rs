//! cow-n for Spin.
//!
//! Invariant: each step is one `d_step` of a loop, and where an agent is stands in a variable: so a state of Spin's
//! is a state of the protocol, and no other.

use std::fmt::Write;

use super::CowN;

/// The model's text.
pub(crate) fn text(size: CowN) -> String {
    let CowN { pages, devices, reads, .. } = size;
    let mut text = String::from("bit locked;\nbyte writer, reader;\n");
    for name in ["entry", "writer_tlb", "reader_tlb", "content", "stored"] {
        let initial = if name == "entry" { " = 1" } else { "" };
        let _ = writeln!(text, "byte {name}[{pages}]{initial};");
    }
    let cells = u16::from(pages) * u16::from(devices);
    let _ = writeln!(text, "byte iotlb[{cells}];\nbyte done[{devices}], at[{devices}];");
    writer(&mut text, size);
    text.push_str("active proctype reads() {\nend: do\n");
    for page in 0..pages {
        let (walk, load, next) = (2 * page, 2 * page + 1, 2 * page + 2);
        step(&mut text, &format!("reader=={walk} && reader_tlb[{page}]!=0 -> reader={load}"));
        step(
            &mut text,
            &format!(
                "reader=={walk} && reader_tlb[{page}]==0 && entry[{page}]!=0 -> reader_tlb[{page}]=entry[{page}]; reader={load}"
            ),
        );
        step(&mut text, &format!("reader=={load} && reader_tlb[{page}]==0 -> reader={walk}"));
        let fine = fine(&format!("reader_tlb[{page}]"), page);
        step(&mut text, &format!("reader=={load} && reader_tlb[{page}]!=0 -> assert({fine}); reader={next}"));
    }
    text.push_str("od }\n");
    for device in 0..devices {
        let _ = write!(text, "active proctype device{device}() {{\nend: do\n");
        for page in 0..pages {
            let cell = format!("iotlb[{}]", device * pages + page);
            let (at, done) = (format!("at[{device}]"), format!("done[{device}]"));
            let chosen = page + 1;
            step(&mut text, &format!("{at}==0 && {done}<{reads} && {cell}!=0 -> {at}={chosen}"));
            step(
                &mut text,
                &format!("{at}==0 && {done}<{reads} && {cell}==0 -> {cell}=entry[{page}]; {at}={chosen}"),
            );
            step(&mut text, &format!("{at}=={chosen} && {cell}==0 -> {at}=0; {done}++"));
            let fine = fine(&cell, page);
            step(&mut text, &format!("{at}=={chosen} && {cell}!=0 -> assert({fine}); {at}=0; {done}++"));
        }
        text.push_str("od }\n");
    }
    text
}

fn writer(text: &mut String, size: CowN) {
    text.push_str("active proctype writes() {\nend: do\n");
    let mut at = 0_u16;
    for page in 0..size.pages {
        let notify: String =
            (0..size.devices).map(|device| format!("iotlb[{}]=0; ", device * size.pages + page)).collect();
        let mut steps = vec![
            (" && locked==0", "locked=1; ".to_owned()),
            ("", format!("entry[{page}]=0; ")),
            ("", format!("writer_tlb[{page}]=0; reader_tlb[{page}]=0; ")),
            ("", format!("entry[{page}]=2; ")),
            ("", "locked=0; ".to_owned()),
            ("", format!("writer_tlb[{page}]=entry[{page}]; ")),
            (
                "",
                format!("content[{page}]=(writer_tlb[{page}]==2 -> 1 : content[{page}]); stored[{page}]=1; "),
            ),
        ];
        steps.insert(if size.is_late { 7 } else { 3 }, ("", notify));
        for (guard, effect) in steps {
            step(text, &format!("writer=={at}{guard} -> {effect}writer={}", at + 1));
            at += 1;
        }
    }
    text.push_str("od }\n");
}

fn step(text: &mut String, step: &str) {
    let _ = writeln!(text, ":: d_step {{ {step} }}");
}

/// That a read through `entry` returns nothing old behind the store.
fn fine(entry: &str, page: u8) -> String {
    format!("!stored[{page}] || ({entry}==2 && content[{page}]==1)")
}
