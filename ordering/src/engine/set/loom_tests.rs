//! Claims about slots while two threads insert, tried in every order of their steps.

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::super::word::Word;
use super::Set;
use super::shared::{Left, Shared};

/// What is fresh to a thread that inserts these keys.
fn fresh<W: Word>(set: &Set<W>, mut keys: Vec<W>) -> Vec<W> {
    let shared = Shared { slots: &set.slots, shift: set.shift, taken: AtomicUsize::new(0) };
    let mut fresh = Vec::new();
    assert_eq!(shared.insert_all(&mut keys, &mut fresh), Left::Nothing);
    fresh
}

/// Two threads insert two keys each, of which one is the same; each key is fresh to one of them, and all are there.
fn each_key_is_fresh_to_one_thread<W: Word>(keys: [W; 3]) {
    loom::model(move || {
        let set = Arc::new(Set::<W>::new());
        let other = Arc::clone(&set);
        let [one, both, two] = keys;
        let thread = thread::spawn(move || fresh(&other, vec![one, both]));
        let mut found = fresh(&set, vec![two, both]);
        found.extend(thread.join().expect("it does not panic"));
        found.sort_unstable();
        let mut expected = keys.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(keys.iter().all(|&key| set.slot(key).is_some()));
    });
}

#[test]
fn loom_each_narrow_key_is_fresh_to_one_thread() {
    each_key_is_fresh_to_one_thread([1, 2, 3].map(|key| u64::occupied() | key));
}

#[test]
fn loom_each_wide_key_is_fresh_to_one_thread() {
    // The high halves are the same: the low ones decide, and zero is one of them.
    each_key_is_fresh_to_one_thread([0, 1, 2].map(|key| u128::occupied() | key));
}
