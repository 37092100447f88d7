//! Runs of the catalogue as tracks, read back.

use ordering::catalogue;
use ordering::counterexample::Seen;
use ordering::engine::{self, Options, Verdict};
use ordering::lowering::load;
use tracks::check::{Read, read};
use tracks::trace::{LeftOut, Sink, Trace};

use super::{Times, draw};
use crate::timeline::Timeline;

#[derive(Default)]
struct Text(String);

impl Sink for Text {
    fn put(&mut self, text: &str) -> bool {
        self.0 += text;
        true
    }
}

/// Runs of the catalogue that break something, by the names of their scenarios.
fn refuted(wanted: impl Fn(&str) -> bool) -> Vec<(String, Timeline)> {
    let loaded =
        catalogue::FILES.iter().flat_map(|file| load(file.text).expect("the catalogue has no errors"));
    let chosen = loaded.filter(|(_, lowered)| wanted(&lowered.name));
    let options = Options { max_states: 5_000, ..Options::default() };
    let run = |lowered: ordering::lowering::Lowered| {
        let packed = engine::compile(&lowered.model).ok()?;
        match engine::explore(&packed, &options).verdict {
            Verdict::Violated { property, trace, .. } => {
                Some((lowered.name.clone(), Timeline::new(&lowered, &trace, Some(property))))
            }
            Verdict::Proved | Verdict::BoundHit { .. } => None,
        }
    };
    chosen.filter_map(|(_, lowered)| run(lowered)).collect()
}

fn drawn(runs: &[(String, Timeline)], times: Times<'_>) -> Read {
    let mut trace = Trace::new(Text::default(), 64 << 20);
    for ((name, run), process) in runs.iter().zip(1..) {
        draw(&mut trace, process, name, run, times);
    }
    assert_eq!(trace.close(), LeftOut::default());
    read(&trace.sink().0).unwrap_or_else(|faults| panic!("{}", faults.join("\n")))
}

/// The names of the slices that an arrow joins, each with its track.
fn joined(read: &Read, flow: usize) -> Vec<(&str, &str)> {
    let slices = read.flows[flow].iter().map(|index| &read.slices[*index]);
    slices.map(|slice| (slice.track.as_str(), slice.name.as_str())).collect()
}

#[test]
fn an_arrow_leads_from_the_change_to_the_use_that_broke() {
    let runs = refuted(|name| name == "cow-notify-before-clear");
    let read = drawn(&runs, Times::Logical);
    // The flush is of the CPU's TLB alone, and stands between.
    assert_eq!(
        joined(&read, 0),
        [("CPU", "pte_clear A"), ("CPU", "flush_tlb A"), ("IOMMU", "dma_read A = 0")]
    );
    let stale: Vec<_> = read.slices.iter().filter(|slice| slice.category == "stale").collect();
    let named: Vec<_> = stale.iter().map(|slice| (slice.track.as_str(), slice.name.as_str())).collect();
    assert_eq!(named, [("tlb[IOMMU][A], IOTLB of IOMMU", "STALE: old ro")]);
    let used = &read.slices[read.flows[0][2]];
    assert!(
        stale[0].begin_us < used.begin_us && used.begin_us < stale[0].end_us,
        "it is used while it is stale"
    );
    assert!(read.instants[0].starts_with("VIOLATION: never IOMMU reads A == 0"), "{:?}", read.instants);
}

#[test]
fn rows_take_the_times_at_which_they_were_seen() {
    let runs = refuted(|name| name == "cow-notify-before-clear");
    let rows = runs[0].1.rows.len() as u64;
    // Two at a time, one of which nobody saw.
    let seen: Vec<Seen> = (0..rows)
        .map(|row| if row % 3 == 2 { Seen::FilledIn } else { Seen::At(row / 2 * 100_000 + 7) })
        .collect();
    let read = drawn(&runs, Times::Seen(&seen));
    let mut steps: Vec<_> = read.slices.iter().filter(|slice| slice.category == "step").collect();
    steps.sort_by_key(|slice| slice.args["row"].as_u64());
    assert!(steps.windows(2).all(|two| two[0].begin_us < two[1].begin_us), "rows keep their order");
    assert_eq!(steps[4].begin_us, 200.0, "the grain is an eighth of a microsecond");
    assert_eq!(steps[4].args["known"], "seen at 200.007 µs");
    assert_eq!(steps[2].args["known"], "filled in: nobody saw it");
    assert_eq!(read.flows.len(), drawn(&runs, Times::Logical).flows.len());
}

#[test]
fn every_small_refuted_scenario_of_the_catalogue_is_a_sound_trace_with_its_arrow() {
    let runs = refuted(|_| true);
    let read = drawn(&runs, Times::Logical);
    let of = |run: &Timeline| run.arrows.len();
    assert!(runs.len() > 50 && read.flows.len() > 50, "{} runs, {} arrows", runs.len(), read.flows.len());
    assert!(read.flows.len() <= runs.iter().map(|(_, run)| of(run)).sum(), "each is drawn once");
    assert_eq!(read.instants.len(), runs.len(), "each says what breaks");
}
