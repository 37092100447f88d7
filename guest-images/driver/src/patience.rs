//! Waiting for hardware, not for ever.
//!
//! Invariant: whoever waits in vain ends the machine and says for what, so a unit that stands still fails a test instead
//! of hanging it.

use core::hint::spin_loop;

/// Looks before patience ends: some ten seconds.
const MOST_LOOKS: u64 = 400_000_000;

/// Looks at memory, which are cheap, before a register is read, which is not.
const LOOKS_PER_QUESTION: u64 = 4096;

/// Returns when `is_done` does, for `what`.
pub(crate) fn wait_until(what: &str, is_done: impl Fn() -> bool) {
    wait_asking(what, is_done, || {});
}

/// The same, and now and then asks whether there is any hope.
pub(crate) fn wait_asking(what: &str, is_done: impl Fn() -> bool, ask: impl Fn()) {
    for look in 1..=MOST_LOOKS {
        if is_done() {
            return;
        }
        if look.is_multiple_of(LOOKS_PER_QUESTION) {
            ask();
        }
        spin_loop();
    }
    panic!("waited for {what} in vain");
}
