//! A data watchpoint: each write of an entry of the page table by a thread, which no function has to be traced for.
//!
//! Invariant: what was not shown is said, never passed over. Source: perf_event_open(2), PERF_TYPE_BREAKPOINT.

use std::io;

use perf_event::data::Record;
use perf_event::events::Breakpoint;
use perf_event::{Builder, Clock, SampleFlag, Sampler};

/// Bytes of an entry.
const ENTRY: u64 = 8;
/// Memory for what is shown.
const BUFFER_BYTES: usize = 1 << 16;

/// A watchpoint, which watches while it is [`switched on`](Watch::switch_on).
pub(super) struct Watch(Sampler);

/// A write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Written {
    /// When, by CLOCK_MONOTONIC, in ns.
    pub(super) time_ns: u64,
    /// Where.
    pub(super) cpu: u32,
    /// Right behind the instruction that wrote, in the kernel.
    pub(super) place: u64,
}

impl Watch {
    /// Watches the entry at an address of the kernel, as far as that thread writes it.
    pub(super) fn open(entry: u64, thread: i32) -> io::Result<Self> {
        let mut builder = Builder::new(Breakpoint::write(entry, ENTRY));
        builder.observe_pid(thread).any_cpu().include_kernel().sample_period(1).clockid(Clock::MONOTONIC);
        builder.sample(SampleFlag::IP).sample(SampleFlag::TIME).sample(SampleFlag::CPU);
        builder.build()?.sampled(BUFFER_BYTES).map(Self)
    }

    pub(super) fn switch_on(&mut self) -> io::Result<()> {
        self.0.as_counter_mut().enable()
    }

    pub(super) fn switch_off(&mut self) -> io::Result<()> {
        self.0.as_counter_mut().disable()
    }

    /// The writes since this was asked last.
    ///
    /// # Errors
    /// What kept some from being shown.
    pub(super) fn written(&mut self) -> Result<Vec<Written>, String> {
        let mut all = Vec::new();
        while let Some(record) = self.0.next_record() {
            let record = record.parse_record().map_err(|error| format!("a record of perf's: {error}"))?;
            let Record::Sample(sample) = record else {
                return Err("perf has lost some of the writes".to_owned());
            };
            let (Some(time_ns), Some(cpu), Some(place)) = (sample.time(), sample.cpu(), sample.ip()) else {
                return Err("perf does not say where and when an entry was written".to_owned());
            };
            all.push(Written { time_ns, cpu, place });
        }
        Ok(all)
    }
}
