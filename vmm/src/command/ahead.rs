//! Scenario files, read and lowered by a thread of its own while those before them are searched.
//!
//! Invariant: files come in their order, and what comes is what [`load`] makes of each. The run never waits for
//! the thread at its end: nobody joins it, and a file that it has not brought is loaded where it is wanted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use ordering::language::Diagnostic;
use ordering::language::syntax::Scenario;
use ordering::lowering::{Lowered, load};

use super::files::Source;

/// Files that wait at most: they take memory.
const MOST: usize = 4;
/// What the first thread of a process has, so that a file is read as deep as there.
const STACK_BYTES: usize = 8 << 20;

/// What is in a file.
pub(super) type Loaded = Result<Vec<(Scenario, Lowered)>, Vec<Diagnostic>>;

/// What is in files, one after the other.
pub(super) struct Ahead {
    /// None: each is loaded when it is wanted.
    brought: Option<Receiver<Loaded>>,
}

impl Ahead {
    /// Of all of `sources`, by a thread besides if `has_thread`, there is more than one file, and the host has one.
    pub(super) fn of(sources: &Arc<Vec<Source>>, has_thread: bool) -> Self {
        if !has_thread || sources.len() < 2 {
            return Self { brought: None };
        }
        let (sender, receiver) = sync_channel(MOST);
        let sources = Arc::clone(sources);
        let bring = move || {
            // Who wants no more has gone away.
            let _brought_all = sources.iter().try_for_each(|source| sender.send(load(&source.text)));
        };
        let started = thread::Builder::new().name("files".to_owned()).stack_size(STACK_BYTES).spawn(bring);
        Self { brought: started.is_ok().then_some(receiver) }
    }

    /// What is in `source`, which is the next one.
    pub(super) fn next(&mut self, source: &Source) -> Loaded {
        let brought = self.brought.as_ref().and_then(|receiver| receiver.recv().ok());
        brought.unwrap_or_else(|| {
            // A thread that has brought one file less would bring the wrong one from now on.
            self.brought = None;
            load(&source.text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files with a scenario each, of which the third is none.
    fn sources() -> Arc<Vec<Source>> {
        let text = |number: usize| match number {
            2 => "scenario".to_owned(),
            _ => format!(
                "scenario s{number}\npage A\nframe old\nmap A -> old rw\ncpu C\nagent C\n  load A\nnever C reads A == 0\n"
            ),
        };
        let source = |number| Source { name: String::new(), text: text(number), only: None, path: None };
        Arc::new((0..9).map(source).collect())
    }

    /// The names of the scenarios of each file; none of one that has errors.
    fn names(ahead: &mut Ahead, sources: &[Source]) -> Vec<Option<String>> {
        let name =
            |loaded: Loaded| loaded.ok().map(|all| all.iter().map(|(_, one)| one.name.as_str()).collect());
        sources.iter().map(|source| name(ahead.next(source))).collect()
    }

    #[test]
    fn files_come_in_their_order_whoever_loads_them() {
        let sources = sources();
        let alone = names(&mut Ahead::of(&sources, false), &sources);
        assert_eq!(alone[..3], [Some("s0".to_owned()), Some("s1".to_owned()), None]);
        let mut ahead = Ahead::of(&sources, true);
        assert!(ahead.brought.is_some(), "the host has a thread");
        assert_eq!(names(&mut ahead, &sources), alone);
    }

    #[test]
    fn what_a_thread_has_not_brought_is_loaded_where_it_is_wanted() {
        let sources = sources();
        let (sender, receiver) = sync_channel(MOST);
        sender.send(load(&sources[0].text)).expect("somebody listens");
        drop(sender);
        let mut ahead = Ahead { brought: Some(receiver) };
        assert_eq!(names(&mut ahead, &sources), names(&mut Ahead { brought: None }, &sources));
        assert!(ahead.brought.is_none());
    }
}
