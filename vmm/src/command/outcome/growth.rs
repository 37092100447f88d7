//! What a search that hit a limit would have needed.
//!
//! Invariant: it is an estimate and called one. Levels of a search grow ever more slowly and then shrink, mostly;
//! where the last ones do not, nothing is estimated.

use ordering::engine::{LAST_LEVELS, Packed, Statistics};

/// What a search on disk does not say.
pub(super) const NO_GRAPH: &str = "nothing is broken in any state, but whether an end can be reached from each is not \
     decided on disk: leave out --disk, with as much --memory as it takes";

/// Half of the ratios between the last levels.
const SPAN: usize = (LAST_LEVELS - 1) / 2;
/// States that nobody will count to.
const FAR: f64 = 1e15;

/// How many states there are in all, and the room for them, in words.
pub(super) fn needed(packed: &Packed, statistics: &Statistics) -> String {
    let most = 2_f64.powi(i32::try_from(packed.state_bits()).unwrap_or(i32::MAX));
    let Some(states) = estimate(statistics).filter(|states| *states < FAR).map(|states| states.min(most))
    else {
        return "how many there are in all cannot be told from its last steps".to_owned();
    };
    // It was found to be far below what fits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = states as usize;
    let [memory, disk] = [packed.memory_of(count), packed.disk_of(count)].map(size);
    format!(
        "about {states:.1e} in all, if it goes on as in its last steps: --memory {memory}, or --disk DIR with \
         {disk} and as much for merging"
    )
}

/// States in all, if the ratio between levels goes on to change as it did in the last ones.
fn estimate(statistics: &Statistics) -> Option<f64> {
    // A count of states is far below what a double holds exactly.
    #[expect(clippy::cast_precision_loss)]
    let [states, levels @ ..] = [
        statistics.states as f64,
        statistics.last_levels[0] as f64,
        statistics.last_levels[SPAN] as f64,
        statistics.last_levels[2 * SPAN] as f64,
    ];
    let [first, middle, last] = levels;
    if first < 1.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "it is 3")]
    let span = 1.0 / SPAN as f64;
    let (before, after) = ((middle / first).powf(span), (last / middle).powf(span));
    let change = (after / before).powf(span);
    if change >= 1.0 && after >= 1.0 {
        return None;
    }
    let change = change.min(1.0);
    // From the middle of the last span to the next step.
    let mut ratio = after * change.powf(1.0 / span / 2.0 + 0.5);
    let (mut level, mut all) = (last, states);
    while level >= 1.0 && all < FAR {
        level *= ratio;
        all += level;
        ratio *= change;
    }
    Some(all)
}

/// As an option takes it: rounded up.
fn size(bytes: usize) -> String {
    let unit = |shift: u32| bytes.div_ceil(1 << shift);
    if bytes >= 10 << 30 { format!("{}G", unit(30)) } else { format!("{}M", unit(20)) }
}
