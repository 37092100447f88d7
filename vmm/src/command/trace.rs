//! `--trace FILE`: what happens, for Perfetto, written while it happens.
//!
//! Invariant: a file that cannot be written is said before anything runs, and what stood in it stands there until there is
//! something to be written. From then on nobody waits for it but the end, and that not for long; what the file has no room
//! for, or its reader does not take, is counted and told.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use picture::perfetto::{self, Times};
use picture::timeline::Timeline;
use tracks::trace::{LEAST_LIMIT, LeftOut, Sink, Trace};

use super::apart::Named;
use super::size;
use crate::machine::tracer::Tracer;
use crate::remedy::remedy;
use crate::sandbox::{Role, Sandbox};
use crate::spool::{Account, Patience, Spool};

/// Bytes of a trace, if nobody says otherwise.
const LIMIT: u64 = 64 << 20;
/// How long the end waits for the file.
const PATIENCE: Patience = Patience { idle: Duration::from_secs(2), total: Duration::from_secs(10) };

/// Where what happens is to be written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub(super) struct TraceArguments {
    /// Write what happens as a trace for Perfetto (ui.perfetto.dev), while it runs: tracks, slices and arrows from a change to the
    /// use of what is stale; SIZE bytes at most, 64M without it. docs/trace.md says what is in it
    #[arg(long, value_name = "FILE[,limit=SIZE]", value_parser = words)]
    trace: Option<Words>,
}

/// A file and its limit.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Words {
    name: String,
    limit_bytes: u64,
}

fn words(text: &str) -> Result<Words, String> {
    let (name, limit) = text.rsplit_once(",limit=").map_or((text, None), |(name, limit)| (name, Some(limit)));
    let limit_bytes = limit.map_or(Ok(LIMIT), size::bytes)?;
    if limit_bytes < LEAST_LIMIT {
        return Err(format!("a trace has {LEAST_LIMIT} bytes at least; give a larger limit"));
    }
    match Path::new(name).extension() {
        // A slip of the shell must not cost a scenario.
        Some(extension) if extension == "scn" => {
            Err("that is a scenario file; name one for the trace".to_owned())
        }
        Some(_) | None if name.is_empty() => Err("name a file for the trace".to_owned()),
        Some(_) | None => Ok(Words { name: name.to_owned(), limit_bytes }),
    }
}

/// A file for a trace, open and empty.
pub(super) struct TraceFile {
    /// As it was named.
    pub(super) name: String,
    /// What is written to.
    pub(super) file: File,
    /// Bytes at most.
    pub(super) limit_bytes: u64,
}

impl TraceArguments {
    /// Whether there is to be a trace.
    pub(super) const fn is_wanted(&self) -> bool {
        self.trace.is_some()
    }

    /// What is to be written.
    pub(super) fn written(&self) -> Option<Named<'_>> {
        self.trace.as_ref().map(|words| ("--trace", Path::new(&words.name)))
    }

    /// The file, if there is to be one, open, and empty from now on.
    ///
    /// # Errors
    /// Why it cannot be written, and what to do.
    pub(super) fn open(&self) -> Result<Option<TraceFile>, String> {
        let Some(Words { name, limit_bytes }) = &self.trace else { return Ok(None) };
        let file = options().create(true).truncate(true).open(name);
        let file = file.map_err(|error| unwritable(name, &error))?;
        Ok(Some(TraceFile { name: name.clone(), file, limit_bytes: *limit_bytes }))
    }

    /// The same for runs, with a thread that writes it when there is something to be written; until then the file stays as
    /// it was.
    ///
    /// # Errors
    /// The same, or that the host has no thread.
    pub(super) fn start(&self) -> Result<Option<RunTrace>, String> {
        let Some(Words { name, limit_bytes }) = &self.trace else { return Ok(None) };
        let unwritable = |error| unwritable(name, &error);
        let made = match options().create_new(true).open(name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
            made => Some(made.map_err(unwritable)?),
        };
        let is_made = made.is_some();
        let file = made.map_or_else(|| options().open(name), Ok).map_err(unwritable)?;
        let waiting = Waiting { file: file.try_clone().map_err(unwritable)?, is_made };
        let spool = Spool::start("trace", || {}, file).map_err(|error| {
            let remedy = remedy(&error, "end other programs");
            format!("the host refuses a thread for the trace: {error}; {remedy}")
        })?;
        let (name, limit_bytes) = (name.clone(), *limit_bytes);
        let state = State::Waiting(waiting);
        Ok(Some(RunTrace { name, spool, limit_bytes, state, processes: 0, is_late: false }))
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    // Whoever opens a pipe that nobody reads would wait for a reader.
    options.write(true).custom_flags(libc::O_NONBLOCK);
    options
}

fn unwritable(name: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENXIO) => format!("cannot write {name}: nobody reads the pipe; start its reader first"),
        _ => format!("cannot write {name}: {error}; {}", remedy(error, "name another file for the trace")),
    }
}

/// A spool that takes text whole or not at all.
pub(super) struct Queue(pub(super) Spool);

impl Sink for Queue {
    fn put(&mut self, text: &str) -> bool {
        self.0.put_whole(text)
    }
}

/// The trace of a command that shows runs of scenarios.
pub(super) struct RunTrace {
    name: String,
    spool: Spool,
    limit_bytes: u64,
    state: State,
    /// Runs so far.
    processes: u32,
    /// Its reader was waited for in vain, once.
    is_late: bool,
}

/// How far a trace is.
enum State {
    Waiting(Waiting),
    Begun(Trace<Queue>),
}

/// A file as it was found.
struct Waiting {
    file: File,
    /// It was not there.
    is_made: bool,
}

impl Drop for RunTrace {
    /// Nothing was to be written: a file that was not there is not there.
    fn drop(&mut self) {
        if let State::Waiting(Waiting { is_made: true, .. }) = self.state {
            let _stays = std::fs::remove_file(&self.name);
        }
    }
}

impl RunTrace {
    /// The trace, in a file that is empty but for it.
    fn begun(&mut self) -> &mut Trace<Queue> {
        if let State::Waiting(Waiting { file, .. }) = &self.state {
            // What cannot be emptied, a pipe, has nothing in it.
            let _emptied = file.set_len(0);
            self.state = State::Begun(Trace::new(Queue(self.spool.clone()), self.limit_bytes));
        }
        match &mut self.state {
            State::Begun(trace) => trace,
            State::Waiting(_) => unreachable!("it has begun"),
        }
    }

    /// One more run, which is called `title`.
    pub(super) fn add(&mut self, title: &str, run: &Timeline, times: Times<'_>) {
        self.processes += 1;
        let process = self.processes;
        perfetto::draw(self.begun(), process, title, run, times);
        // Before the next run there is time; a reader that does not read gets it once.
        if !self.is_late {
            let Account { unwritten, .. } = self.spool.settle(Instant::now(), PATIENCE);
            self.is_late = unwritten > 0;
        }
    }

    /// The last words; what the trace lacks.
    pub(super) fn conclude(mut self) -> Vec<Lack> {
        let (spool, patience) = (self.spool.clone(), if self.is_late { HURRIED } else { PATIENCE });
        let left_out = close(|| self.begun().close(), &spool, patience);
        told(&self.name, &left_out)
    }
}

/// The trace of a machine.
pub(super) struct MachineTrace {
    name: String,
    spool: Spool,
    /// Whoever writes it.
    pub(super) tracer: Arc<Tracer>,
}

impl MachineTrace {
    /// Starts the thread that writes the file, in `sandbox`.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub(super) fn start(file: TraceFile, sandbox: Sandbox) -> io::Result<Self> {
        let TraceFile { name, file, limit_bytes } = file;
        let spool = Spool::start("trace", move || sandbox.enter(Role::Output), file)?;
        let tracer = Tracer::new(Box::new(Queue(spool.clone())), limit_bytes);
        Ok(Self { name, spool, tracer })
    }

    /// As [`RunTrace::conclude`].
    pub(super) fn conclude(&self, patience: Patience) -> Vec<Lack> {
        told(&self.name, &close(|| self.tracer.close(), &self.spool, patience))
    }
}

/// For a reader that was waited for before.
const HURRIED: Patience = Patience { idle: Duration::from_millis(250), total: Duration::from_millis(400) };

/// Something that a trace lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lack {
    /// By whose fault.
    pub(super) blamed: Blamed,
    /// What is told of it.
    pub(super) text: String,
}

/// Who does not let a trace be whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blamed {
    /// It has its limit, and its reader his time.
    Nobody,
    /// The host has no room, or the like.
    Host,
    /// Its reader has gone away.
    Reader,
}

/// How a trace ended.
pub(super) struct Conclusion {
    left_out: LeftOut,
    account: Account,
}

/// Says the last words of a trace, which goes to `spool`, when all before is written.
pub(super) fn close(last_words: impl FnOnce() -> LeftOut, spool: &Spool, patience: Patience) -> Conclusion {
    let begun = Instant::now();
    let _before = spool.settle(begun, patience);
    let left_out = last_words();
    Conclusion { left_out, account: spool.settle(begun, patience) }
}

/// What a trace lacks that ended so.
pub(super) fn told(name: &str, Conclusion { left_out, account }: &Conclusion) -> Vec<Lack> {
    let LeftOut { behind_limit, not_taken } = *left_out;
    match account.failure {
        Some(ErrorKind::BrokenPipe) => {
            let text = format!("{name}: whoever read the trace has gone away; it is incomplete");
            return vec![Lack { blamed: Blamed::Reader, text }];
        }
        Some(reason) => {
            let about = "make room, or name another file; the trace is incomplete";
            return vec![Lack {
                blamed: Blamed::Host,
                text: format!("{name} cannot be written: {reason}; {about}"),
            }];
        }
        None => {}
    }
    let limit = (behind_limit > 0).then(|| {
        format!("{name}: {behind_limit} events are left out of the trace; more fit with a larger limit=SIZE")
    });
    let late = (not_taken > 0 || account.unwritten > 0).then(|| {
        format!(
            "{name}: {not_taken} events and {} bytes of the trace are lost, because nobody read them in time",
            account.unwritten
        )
    });
    [limit, late].into_iter().flatten().map(|text| Lack { blamed: Blamed::Nobody, text }).collect()
}

#[cfg(test)]
mod tests;
