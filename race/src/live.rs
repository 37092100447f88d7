//! What is not on the live machine, and why.
//!
//! Invariant: a scenario that names any of it does not run, and is told which line it is; nothing is passed over.

use std::fmt;

use ordering::lowering::{Act, Lowered, Numbers, Timeout};
use steps::{Directory, Emptied, Invalidation, Step, Unanswered, Waited};

/// A scenario that cannot run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotLive {
    /// Line of the source, 1-based; 0 for an option.
    pub line: u32,
    /// What is not on the machine, as it is written.
    pub what: String,
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for NotLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "`{}` is not on the live machine: {}", self.what, self.reason)
    }
}

const UNANSWERED: &str = "its queue answers every wait";
const GONE: &str = "its devices stay";
const HALVES: &str = "it writes an entry of a PASID in one word";
const CONTEXTS: &str = "the context entries of its units are written once";
const SHADOW: &str = "its shadow page table has one level that is written";
const LANDS: &str = "its devices translate and access in one step";

/// What keeps a scenario from running; none: all of it is live.
#[must_use]
pub fn not_live(lowered: &Lowered) -> Option<NotLive> {
    let options = &lowered.scene.options;
    let option = |what: &str, reason| Some(NotLive { line: 0, what: what.to_owned(), reason });
    if options.split_dma {
        return option("option dma = split", LANDS);
    }
    match options.timeout {
        Timeout::Never => {}
        Timeout::Gone => return option("option timeout = gone", UNANSWERED),
        Timeout::Late => return option("option timeout = late", UNANSWERED),
    }
    let agents = lowered.model.agents.iter().zip(&lowered.deeds);
    for (agent, deeds) in agents {
        for (pc, instruction) in agent.program.iter().enumerate() {
            for (index, alternative) in instruction.alternatives.iter().enumerate() {
                let reason = deeds.of(pc, index).find_map(|deed| match deed.act {
                    Act::Step(step) => why_not(step),
                    Act::Assign(_) | Act::Decide | Act::Hardware => None,
                });
                if let Some(reason) = reason {
                    return Some(NotLive { line: alternative.line, what: alternative.text.clone(), reason });
                }
            }
        }
    }
    // Without a step on it, too.
    if let Some(user) = lowered.scene.users.iter().find(|user| user.directory == Directory::Contexts) {
        return option(&format!("device {} context", user.name), CONTEXTS);
    }
    None
}

/// Why a step is not on the machine; none: it is.
pub(crate) const fn why_not(step: &Step<Numbers>) -> Option<&'static str> {
    match step {
        Step::Unplug(_) => Some(GONE),
        Step::SetPasid(Directory::Contexts, ..)
        | Step::SetPasidHalf(Directory::Contexts, ..)
        | Step::Invalidate(Invalidation { emptied: Emptied::PasidCaches(Directory::Contexts, _), .. }) => {
            Some(CONTEXTS)
        }
        Step::SetPasidHalf(Directory::Pasids, ..) => Some(HALVES),
        Step::ZapSpmd(_) | Step::SetSpmd(..) => Some(SHADOW),
        Step::InvWait(Waited::Own, Unanswered::Waits) => None,
        Step::InvWait(Waited::All, _) | Step::InvWait(_, Unanswered::GoesTo(_)) => Some(UNANSWERED),
        Step::Invalidate(Invalidation { .. })
        | Step::Lock(..)
        | Step::Trylock(..)
        | Step::Unlock(_)
        | Step::Fence
        | Step::Enter(_)
        | Step::Leave(_)
        | Step::IpiSync
        | Step::SynchronizeRcu
        | Step::Entry(..)
        | Step::Switch(..)
        | Step::SetPasid(Directory::Pasids, ..)
        | Step::PageRequest(_)
        | Step::PageResponse(_)
        | Step::DrainRequests
        | Step::NotifyStart(_)
        | Step::NotifyEnd(_)
        | Step::ChangePte(_)
        | Step::ZapSpte(_)
        | Step::SetSpte(..)
        | Step::Walk(_)
        | Step::Load(_)
        | Step::Store(..)
        | Step::DmaRead(_)
        | Step::DmaWrite(..)
        | Step::GupFast { .. }
        | Step::TryGet { .. }
        | Step::Peek { .. }
        | Step::Forget(_)
        | Step::Write(..)
        | Step::Read(_)
        | Step::Copy(..)
        | Step::Count(..) => None,
    }
}
