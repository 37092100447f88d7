//! Successors that one thread has handed on lately, so that most of those that come again are not looked up.
//!
//! Invariant: a key is left out only if this thread has handed the same key on before, in the search that it leaves it
//! out of: what is handed on is inserted or merged there, whatever becomes of the level. Keys are compared whole, so
//! nothing is lost; one that is forgotten is handed on again.
//!
//! States whose steps do not concern each other lead to one state by as many orders as there are, and their
//! predecessors stand near each other in a level: they are found here, in a cache that is near, instead of in the set,
//! which is not.

use super::word::Word;

/// Keys that are remembered, as a power of two: 32 KiB of them, or twice that.
const BITS: u32 = 12;
const KEYS: usize = 1 << BITS;

/// The last key of each place.
pub(super) struct Recent<W>(Box<[W; KEYS]>);

impl<W: Word> Recent<W> {
    /// Nothing was handed on.
    pub(super) fn nothing() -> Self {
        // Zero is no state.
        let keys = vec![W::ZERO; KEYS].into_boxed_slice();
        Self(keys.try_into().unwrap_or_else(|_| unreachable!("so many were made")))
    }

    /// Whether to hand a key on, which it remembers.
    #[inline]
    pub(super) fn is_new(&mut self, key: W) -> bool {
        let place = (key.hash() >> (u64::BITS - BITS)) as usize;
        std::mem::replace(&mut self.0[place], key) != key
    }
}

#[cfg(test)]
mod tests {
    //! Claims about what is handed on.

    use super::{KEYS, Recent};

    #[test]
    fn a_key_that_another_has_replaced_is_handed_on_again_and_none_is_lost() {
        let (mut recent, mut handed) = (Recent::<u64>::nothing(), vec![0; 4 * KEYS]);
        for key in (0..4 * KEYS).chain((0..4 * KEYS).flat_map(|key| [key, key])) {
            let state = 1 << 63 | u64::try_from(key).unwrap();
            handed[key] += u32::from(recent.is_new(state));
        }
        assert!(handed.iter().all(|times| (1..=2).contains(times)), "once before it comes again at once");
        assert!(handed.contains(&2), "there is room for all: nothing was replaced");
    }
}
