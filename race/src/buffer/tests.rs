//! What waits in a store buffer, and what does not.

use ordering::lowering;

use crate::machine::Machine;
use crate::steered::Steered;

const LOCKED: &str = "scenario locked
var x = 0..3
cpu C0, C1
option memory = tso
agent a on C0
  x = 1
  x += 1
  x = 1
agent b on C1
  repeat 0..2:
    when x == 2
always x <= 2
expect proved
";

#[test]
fn a_locked_addition_is_in_memory_at_once() {
    let loaded = lowering::load(LOCKED).unwrap();
    let steered = Steered::new(&loaded[0].1, Machine::new(&loaded[0].1).unwrap());
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..50 {
        steered.random(&mut random, 60).unwrap_or_else(|found| panic!("{} after {:?}", found.of, found.rows));
    }
}
