//! `observe --record`: an operation on the running kernel, recorded in a tracefs instance of its own.
//!
//! Invariant: whatever was changed is put back when this returns, also behind an error or Ctrl-C: the instance goes, KSM's
//! settings come back. What a recording has left that was killed is put back by the next one. Source: Documentation/trace/ftrace.rst, Documentation/admin-guide/mm/ksm.rst.

mod deed;
mod host;
mod instance;
mod ksm;
mod pages;
mod site;
mod symbols;
mod tracefs;
mod watch;
mod weave;

use std::cell::RefCell;

use kvm_ioctls::{Kvm, VmFd};
use observe::collect::{Collector, Found};
use observe::vocabulary::Vocabulary;
use rustix::system::uname;
use rustix::thread::gettid;
use steps::table::Verb;

pub(super) use deed::Deed;
use deed::Recorder;
use host::Stopped;
use instance::{CUT, Instance, MOST_BYTES};
use site::Site;
use watch::Watch;

/// How often the operation is done.
pub(super) const ROUNDS: u32 = 8;

/// What could be recorded, and what not.
pub(super) struct Visible {
    pub(super) deed: Deed,
    pub(super) happened: u32,
    pub(super) recorded: Vec<String>,
    pub(super) missing: Vec<String>,
}

/// Does the operation, and reads what was recorded of it.
///
/// # Errors
/// What is missing, and what to do.
pub(super) fn record(
    deed: Deed,
    vocabulary: &Vocabulary,
    collector: &mut Collector<'_>,
) -> Result<Visible, String> {
    let stopped = Stopped::watch();
    let tracefs = tracefs::open()?;
    let settings = if deed == Deed::Ksm { Some(ksm::Settings::read()?) } else { None };
    let note = settings.as_ref().map(ksm::Settings::note).unwrap_or_default();
    let instance = Instance::create(&tracefs, &note)
        .map_err(|error| in_vain(&format!("no instance can be made in tracefs: {error}")))?;
    let (mut recorded, mut missing) = (Vec::new(), Vec::new());
    let thread = if deed == Deed::Ksm { ksm::thread()? } else { gettid().as_raw_nonzero().get() };
    let watched = watched(deed, &instance, thread);
    let functions = vocabulary.rows().iter().map(|row| row.name.as_str()).filter(|name| !name.contains('@'));
    match instance.trace_functions(functions, thread) {
        Ok(number) => recorded.push(format!("{number} functions of the vocabulary, by the function tracer")),
        Err(error) => missing.push(format!("functions: the function tracer cannot be set up here ({error})")),
    }
    let events = instance
        .enable_events(thread)
        .map_err(|error| in_vain(&format!("tracepoints cannot be limited to a thread: {error}")))?;
    recorded.extend(events.iter().map(|event| format!("tracepoint {event}")));
    if events.is_empty() && recorded.is_empty() {
        return Err(in_vain("this kernel has no tracepoint and no function of the vocabulary"));
    }
    // A machine of KVM's listens to this address space, so that ranges are announced.
    let listener = listener();
    if let Err(error) = &listener {
        missing.push(format!(
            "ranges: nobody listens to this address space, as /dev/kvm cannot be used ({error})"
        ));
    }
    missing.extend(deed.instead());
    let watch = watched.as_ref().ok().map(|(site, watch)| (site, watch));
    let recorder = Recorder { stopped: &stopped, instance: &instance, watched: watch };
    let done =
        settings.as_ref().map_or(Ok(()), ksm::Settings::switch_on).and_then(|()| deed.run(ROUNDS, &recorder));
    let text = instance.text().map_err(|error| error.to_string());
    missing.extend(left_out(&instance, text.as_deref().unwrap_or_default()));
    let writes =
        watched.and_then(|watched| written(watched, &instance, text.as_deref().unwrap_or_default(), thread));
    drop(settings);
    drop(instance);
    let happened = done.map_err(|error| refused(deed, &error))?;
    if stopped.is_set() {
        return Err("stopped; everything is as it was before".to_owned());
    }
    let release = uname();
    collector.line(&format!("# kernel: {}", release.release().to_string_lossy()));
    let text = text?;
    match &writes {
        Ok(text) => {
            recorded.push("each write of the page's entry by a data watchpoint".to_owned());
            text.lines().for_each(|line| collector.line(line));
        }
        Err(error) => {
            missing.push(format!("writes of entries: {error}"));
            text.lines().for_each(|line| collector.line(line));
        }
    }
    Ok(Visible { deed, happened, recorded, missing })
}

/// What of the recording was overwritten or is not read.
fn left_out(instance: &Instance, text: &str) -> Vec<String> {
    let overwritten = instance
        .overwritten()
        .map(|number| format!("{number} events: the buffer was full, and newer ones were written over them"));
    let cut =
        text.ends_with(CUT).then(|| format!("what is behind the first {} MiB of text", MOST_BYTES >> 20));
    overwritten.into_iter().chain(cut).collect()
}

/// Pages whose entries are known, and what watches the first one's.
fn watched(deed: Deed, instance: &Instance, thread: i32) -> Result<(Site, RefCell<Watch>), String> {
    if !deed.is_watchable() {
        return Err(format!(
            "no data watchpoint is set, as where the entry of {deed}'s page lies is not known"
        ));
    }
    let site = Site::find(instance)?;
    let watch = site.watch(thread).map_err(|error| format!("perf refuses a data watchpoint: {error}"))?;
    Ok((site, RefCell::new(watch)))
}

/// The trace with all writes of the entry.
fn written(
    (site, watch): (Site, RefCell<Watch>),
    instance: &Instance,
    text: &str,
    thread: i32,
) -> Result<String, String> {
    let writes = watch.borrow_mut().written()?;
    let times = instance.times().map_err(|error| error.to_string())?;
    let lines = weave::weave(text, &times, &writes, thread)?;
    Ok(format!("P={:#x}\n{lines}", site.kept().address()))
}

/// What is wrong, and what can be done all the same.
fn in_vain(wrong: &str) -> String {
    format!("{wrong}; nothing was recorded, and a trace that somebody else has recorded can be read")
}

/// What this kernel has not does not keep others from being recorded.
fn refused(deed: Deed, error: &str) -> String {
    if error.starts_with(deed::NOT_HERE) {
        format!(
            "{deed} {error}; the others of --record can be recorded, and a trace of it from elsewhere can be read"
        )
    } else {
        error.to_owned()
    }
}

fn listener() -> Result<(Kvm, VmFd), kvm_ioctls::Error> {
    let kvm = Kvm::new()?;
    let machine = kvm.create_vm()?;
    Ok((kvm, machine))
}

impl Visible {
    /// Why an order is none that the kernel is known to have, if so.
    pub(super) fn crowded(&self) -> Option<&'static str> {
        self.deed.is_crowded().then_some(
            "UNDECIDED: compaction moves other pages within the same call, and `tlb_flush` has no address: a flush of theirs may \
             stand among these rows, so what is refuted here need not be the kernel's, and what is proved may rest on it",
        )
    }

    /// Names of the steps that kernels take and that were seen, or were not.
    pub(super) fn steps(found: &Found, seen: bool) -> Vec<&'static str> {
        const TOLD: [Verb; 7] = [
            Verb::NotifyStart,
            Verb::PteClear,
            Verb::PteModify,
            Verb::FlushTlb,
            Verb::Notify,
            Verb::SetPte,
            Verb::NotifyEnd,
        ];
        let of = TOLD.iter().filter(|verb| found.seen.contains(verb) == seen);
        of.map(|verb| verb.name()).collect()
    }

    /// What of the order was seen, and what could not be.
    pub(super) fn told(&self, found: &Found) -> String {
        let names = |seen: bool| Self::steps(found, seen).join(", ");
        let mut text = format!(
            "recorded {}, {} of {ROUNDS} times, by {}",
            self.deed,
            self.happened,
            self.recorded.join(", ")
        );
        text.push_str(&format!("\nsteps seen: {}; not visible here: {}", names(true), names(false)));
        self.missing.iter().for_each(|missing| text.push_str(&format!("\nnot recorded: {missing}")));
        text
    }
}

#[cfg(test)]
mod tests;
