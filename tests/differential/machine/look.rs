//! What can be seen of the live machine, in the words of the model.
//!
//! Invariant: looking changes nothing: no cache is filled, no bit is set.

use mmu::address::Pfn;
use mmu::cache::Translation;
use mmu::pte::Pte;
use steps::one_page::Protection;

use super::Machine;
use crate::differential::model::gup_agent;
use crate::differential::operation::Operation;
use crate::differential::setting::{FRAMES, Frame, KERNELS, PAGES, Page, User};

/// A variable of the model, and its value as the machine has it.
pub(in crate::differential) type Look = (String, String);

impl Machine<'_> {
    /// Everything that both sides have. What a free frame holds, and whether it is stable, means nothing.
    pub(in crate::differential) fn look(&self, operations: &[Option<Operation>]) -> Vec<Look> {
        let mut looks = Vec::new();
        for page in PAGES {
            self.look_at_page(page, operations, &mut looks);
        }
        for frame in FRAMES {
            self.look_at_frame(frame, operations, &mut looks);
        }
        for kernel in KERNELS {
            if let Some(handle) = &self.handles[kernel.0] {
                looks.push((format!("{}.h", gup_agent(kernel)), self.named(handle.pfn())));
            }
            if let (Some(execution), Some(operation)) = (&self.executions[kernel.0], &operations[kernel.0]) {
                looks.push((format!("{kernel}.orig[{}]", operation.page), self.entry(execution.entry())));
            }
        }
        looks
    }

    fn look_at_page(&self, page: Page, operations: &[Option<Operation>], looks: &mut Vec<Look>) {
        let (stage, address) = (self.stage, self.stage.address(page));
        looks.push((format!("pte[{page}]"), self.entry(stage.space.entry(address))));
        let cached = [
            (User::Cpu(0), self.cpus[0].cached(address)),
            (User::Cpu(1), self.cpus[1].cached(address)),
            (User::Device, self.device.cached(address)),
        ];
        for (user, translation) in cached {
            looks.push((format!("tlb[{user}][{page}]"), self.translation(translation)));
        }
        // The shadow entry is in three places: in the record, in the table, and perhaps in the vCPU's TLB.
        looks.push((format!("spte[{page}]"), self.entry(stage.shadow.installed(address))));
        looks.push((format!("spte[{page}]"), self.entry(stage.hardware.entry(address))));
        if let Some(translation) = self.vcpu.cached(address) {
            looks.push((format!("spte[{page}]"), self.translation(Some(translation))));
        }
        let locked = stage.space.table().is_locked(stage.slots[page.0]);
        let holds = |operation: &Operation| operation.table_locked && operation.page == page;
        looks.push((format!("ptl({page})"), holder(locked, operations, holds)));
    }

    fn look_at_frame(&self, frame: Frame, operations: &[Option<Operation>], looks: &mut Vec<Look>) {
        let (frames, pfn) = (&self.stage.frames, self.stage.pfn(frame));
        looks.push((format!("refs[{frame}]"), frames.refcount(pfn).to_string()));
        looks.push((format!("mapcount[{frame}]"), frames.mapcount(pfn).to_string()));
        let holds = |operation: &Operation| operation.page_locked == Some(frame);
        looks.push((format!("page({frame})"), holder(frames.is_page_locked(pfn), operations, holds)));
        if frames.is_free(pfn) {
            return;
        }
        looks.push((frame.to_string(), frames.memory().load(pfn.address()).to_string()));
        let stable = frames.state(pfn) == mmu::frame::FrameState::Ksm;
        looks.push((format!("stable[{frame}]"), if stable { "yes" } else { "no" }.to_owned()));
    }

    /// Ranges that are open, over whatever page.
    pub(in crate::differential) fn ranges(&self) -> u64 {
        self.stage.shadow.in_progress()
    }

    fn entry(&self, entry: Pte) -> String {
        if entry == Pte::NONE {
            return "none".to_owned();
        }
        let permission = if entry.is_writable() { Protection::ReadWrite } else { Protection::ReadOnly };
        format!("{} {permission}", self.named(entry.pfn()))
    }

    fn translation(&self, translation: Option<Translation>) -> String {
        let Some(found) = translation else { return "none".to_owned() };
        let permission = if found.permission.write { Protection::ReadWrite } else { Protection::ReadOnly };
        format!("{} {permission}", self.named(found.pfn))
    }

    fn named(&self, pfn: Pfn) -> String {
        self.stage.frame(pfn).map_or_else(|| format!("{pfn:?}"), |frame| frame.to_string())
    }
}

/// Who holds a lock. An operation that holds it does not make it locked.
fn holder(locked: bool, operations: &[Option<Operation>], holds: impl Fn(&Operation) -> bool) -> String {
    if !locked {
        return "free".to_owned();
    }
    let found = operations.iter().flatten().find(|operation| holds(operation));
    found.map_or_else(|| "nobody".to_owned(), |operation| operation.kernel.to_string())
}
