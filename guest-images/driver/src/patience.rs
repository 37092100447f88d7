//! Waiting for hardware, not for ever.
//!
//! Invariant: whoever waits in vain ends the machine and says for what, so a unit that stands still fails a test instead
//! of hanging it.

use core::hint::spin_loop;

/// Looks before patience ends: some ten seconds.
const MOST_LOOKS: u64 = 400_000_000;

/// Returns when `is_done` does, for `what`.
pub(crate) fn wait_until(what: &str, is_done: impl Fn() -> bool) {
    for _ in 0..MOST_LOOKS {
        if is_done() {
            return;
        }
        spin_loop();
    }
    panic!("waited for {what} in vain");
}
