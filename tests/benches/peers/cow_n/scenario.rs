//! cow-n as users write it.
//!
//! Invariant: what the language adds to the protocol is switched off: caches lose nothing by themselves.

use std::fmt::Write;

use super::CowN;

/// The scenario's text.
pub(crate) fn text(size: CowN) -> String {
    let CowN { pages, devices, reads, is_late } = size;
    let listed = |count: u8, one: &dyn Fn(u8) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let mut text = format!("scenario cow-{pages}-{devices}-{reads}\n");
    let _ = writeln!(text, "page {}", listed(pages, &|n| format!("P{n}")));
    let _ = writeln!(text, "frame {}", listed(pages, &|n| format!("o{n} = 0, n{n} = 0")));
    let _ = writeln!(text, "map {}", listed(pages, &|n| format!("P{n} -> o{n} ro")));
    let _ = writeln!(text, "cpu A, B\ndevice {}\noption evict = off", listed(devices, &|n| format!("D{n}")));
    text.push_str("\nrace\nA\n");
    for page in 0..pages {
        let notify = format!("notify P{page}\n");
        let (early, late) = if is_late { ("", &*notify) } else { (&*notify, "") };
        let _ = write!(
            text,
            "lock pl\npte_clear P{page}\nflush_tlb P{page}\n{early}set_pte P{page} -> n{page} rw\nunlock pl\n\
             store P{page} = 1\n{late}"
        );
    }
    text.push_str("\nrace\nB\n");
    for page in 0..pages {
        let _ = writeln!(text, "load P{page}");
    }
    for device in 0..devices {
        let _ = write!(text, "\nrace\nD{device}\nrepeat 0..{reads}:\n  dma_read any\n");
    }
    text.push('\n');
    for page in 0..pages {
        let _ = writeln!(text, "never reads P{page} == 0 after A store P{page}");
    }
    let _ = writeln!(text, "expect {}", if is_late { "violation" } else { "proved" });
    text
}
