//! What is not on the live machine, and why.
//!
//! Invariant: a scenario that names any of it does not run, and is told which line it is; nothing is passed over.

use std::fmt;

use ordering::lowering::{Act, Lowered, Numbers};
use steps::{Directory, Emptied, Invalidation, Step};

/// A scenario that cannot run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotLive {
    /// Line of the source, 1-based; 0 for what stands in no program.
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

/// Why a step on a context entry is not there.
pub(crate) const CONTEXTS: &str = "the context entries of its units are written once";

/// What keeps a scenario from running; none: all of it is live.
#[must_use]
pub fn not_live(lowered: &Lowered) -> Option<NotLive> {
    let agents = lowered.model.agents.iter().zip(&lowered.deeds);
    for (agent, deeds) in agents {
        for (pc, instruction) in agent.program.iter().enumerate() {
            for (index, alternative) in instruction.alternatives.iter().enumerate() {
                let is_of_context = deeds.of(pc, index).any(|deed| match deed.act {
                    Act::Step(step) => writes_context(step),
                    Act::Assign(_) | Act::Decide | Act::Hardware => false,
                });
                if is_of_context {
                    let (line, what) = (alternative.line, alternative.text.clone());
                    return Some(NotLive { line, what, reason: CONTEXTS });
                }
            }
        }
    }
    // Without a step on it, too.
    let user = lowered.scene.users.iter().find(|user| user.directory == Directory::Contexts)?;
    Some(NotLive { line: 0, what: format!("device {} context", user.name), reason: CONTEXTS })
}

/// Whether a step is about a context entry.
const fn writes_context(step: &Step<Numbers>) -> bool {
    match step {
        Step::SetPasid(Directory::Contexts, ..)
        | Step::SetPasidHalf(Directory::Contexts, ..)
        | Step::Invalidate(Invalidation { emptied: Emptied::PasidCaches(Directory::Contexts, _), .. }) => {
            true
        }
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
        | Step::SetPasidHalf(Directory::Pasids, ..)
        | Step::InvWait(..)
        | Step::Unplug(_)
        | Step::PageRequest(_)
        | Step::PageResponse(_)
        | Step::DrainRequests
        | Step::NotifyStart(_)
        | Step::NotifyEnd(_)
        | Step::ChangePte(_)
        | Step::ZapSpte(_)
        | Step::SetSpte(..)
        | Step::ZapSpmd(_)
        | Step::SetSpmd(..)
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
        | Step::Count(..) => false,
    }
}
