//! Claims about the search by several threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::cow_n::{Order, Size, cow_n};
use super::super::options::Options;
use super::super::pruned::Pruned;
use super::super::tables::Tables;
use super::{Searched, shared};

#[test]
fn a_thread_that_panics_ends_the_search_with_its_panic() {
    let model = cow_n(Size { pages: 3, devices: 1, reads: 3 }, Order::NotifyFirst);
    let intact = Tables::<u64>::of(&model, &Pruned::of(&model, None).unwrap(), None).unwrap();
    let options = Options::default();
    let plan = options.plan::<u64>().0;
    let mut broken = intact.clone();
    // Nobody can look up what is live where the last agent is in its last place.
    broken.live.pop();
    let panics = |tables: &Tables<u64>| {
        let mut searched = Searched::start(&intact, &plan).down_to(4, &intact, &plan);
        (0..40).any(|_| {
            let level = catch_unwind(AssertUnwindSafe(|| shared::level(&mut searched, tables, &plan, 4)));
            level.map(|level| searched.levels.push(level.fresh)).is_err()
        })
    };
    assert!(panics(&broken));
    assert!(!panics(&intact), "only what is missing panics");
}
