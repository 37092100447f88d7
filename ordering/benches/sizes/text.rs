//! `cow-n` in the scenario language, for any number of pages, devices and reads.
//!
//! Invariant: the text is a function of the size and the order, and says what `engine::cow_n` says by hand.

use ordering::engine::cow_n::{Order, Size};

/// The protocol as a scenario.
pub(super) fn text(size: Size, order: Order) -> String {
    let (page, frames) = (|page| format!("P{page}"), |page| format!("o{page} = 0, n{page} = 0"));
    let device = |device| format!("D{device}");
    let reads = |device| format!("agent D{device}\n  repeat 0..{}:\n    dma_read any\n", size.reads);
    [
        format!("scenario cow-{}-{}-{}\n", size.pages, size.devices, size.reads),
        format!("page {}\n", list(size.pages, page)),
        format!("frame {}\n", list(size.pages, frames)),
        format!("map {}\n", list(size.pages, |page| format!("P{page} -> o{page} ro"))),
        format!("cpu A, B\ndevice {}\n", list(size.devices, device)),
        "option evict = off\n".to_owned(),
        format!("agent A\n{}", each(size.pages, |page| broken(page, order))),
        format!("agent B\n{}", each(size.pages, |page| format!("  load P{page}\n"))),
        each(size.devices, reads),
        each(size.pages, |page| format!("never reads P{page} == 0 after A store P{page}\n")),
    ]
    .concat()
}

/// COW of a page is broken.
fn broken(page: u16, order: Order) -> String {
    let notify = format!("  notify P{page}\n");
    let (early, late) = match order {
        Order::NotifyFirst => (notify.as_str(), ""),
        Order::NotifyLast => ("", notify.as_str()),
    };
    format!(
        "  lock pl\n  pte_clear P{page}\n  flush_tlb P{page}\n{early}  set_pte P{page} -> n{page} rw\n  unlock pl\n  \
         store P{page} = 1\n{late}"
    )
}

fn each(count: u16, one: impl Fn(u16) -> String) -> String {
    (0..count).map(one).collect()
}

fn list(count: u16, one: impl Fn(u16) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(", ")
}
