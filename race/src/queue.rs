//! The invalidation queue: what is posted is done later, one at a time.
//!
//! Invariant: what is posted stays there until hardware has done it; a full queue makes the next one wait. Source: VT-d
//! 6.5.2, SMMUv3 command queue.

use ordering::lowering::{AgentId, Numbers};
use steps::Invalidation;

use crate::machine::{Machine, Stuck};

impl Machine {
    pub(crate) fn post(&self, agent: AgentId, invalidation: &Invalidation<Numbers>) -> Result<(), Stuck> {
        let is_it = |posted: &(AgentId, Option<Invalidation<Numbers>>)| {
            *posted == (agent, Some(invalidation.clone()))
        };
        let number = self.scene.posted.iter().position(is_it);
        let number = number.and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| Stuck::Cannot("nobody was seen to post this".to_owned()))?;
        let mut queue = self.shared.queue.lock();
        if queue.len() >= self.scene.slots {
            return Err(Stuck::Waits("the queue is full"));
        }
        queue.push_back(number);
        Ok(())
    }

    /// Hardware does what is posted at that place of the queue.
    pub(crate) fn perform(&self, number: u32, place: u32) -> Result<(), Stuck> {
        let mut queue = self.shared.queue.lock();
        let place = place as usize;
        if queue.get(place) != Some(&number) || (self.scene.options.ordered_queue && place != 0) {
            return Err(Stuck::Waits("something else stands there in the queue"));
        }
        let (agent, Some(invalidation)) = &self.scene.posted[number as usize] else {
            return Err(Stuck::Cannot("a wait in the queue waits for nothing here".to_owned()));
        };
        queue.remove(place);
        self.invalidate(invalidation, *agent);
        Ok(())
    }

    pub(crate) fn wait(&self, agent: AgentId) -> Result<(), Stuck> {
        let own = |number: &u32| self.scene.posted[*number as usize].0 == agent;
        match self.shared.queue.lock().iter().any(own) {
            true => Err(Stuck::Waits("something that it posted is not done")),
            false => Ok(()),
        }
    }
}
