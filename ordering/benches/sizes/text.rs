//! `cow-n` in the scenario language, for any number of pages, devices and reads.
//!
//! Invariant: the text is a function of the size and the order, and says what `engine::cow_n` says by hand.

use ordering::engine::cow_n::{Order, Size};

/// The protocol with its notification before the new entry is set, but for its sizes.
const FIRST: &str = "\
cpu A, B
option evict = off

for i in 1..pages:
  page P[i]
  frame o[i] = 0, n[i] = 0
  map P[i] -> o[i] ro
  never reads P[i] == 0 after A store P[i]

for d in 1..devices:
  device D[d]
  agent D[d]
    repeat 0..ops:
      dma_read any

agent A
  for i in 1..pages:
    lock pl
    pte_clear P[i]
    flush_tlb P[i]
    notify P[i]
    set_pte P[i] -> n[i] rw
    unlock pl
    store P[i] = 1

agent B
  for i in 1..pages: load P[i]
";

/// The same with the notification at the end.
const LAST: &str = "\nscenario late\nlike cow-n\nmove A.5 before 9\n";

/// The protocol as scenarios, of which the last is meant.
pub(super) fn text(size: Size, order: Order) -> String {
    let Size { pages, devices, reads } = size;
    let late = match order {
        Order::NotifyFirst => "",
        Order::NotifyLast => LAST,
    };
    format!("scenario cow-n\nsweep pages = {pages}, devices = {devices}, ops = {reads}\n{FIRST}{late}")
}
