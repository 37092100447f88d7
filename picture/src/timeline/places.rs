//! Which variables have a lane, what those are called, and which stand together.
//!
//! Invariant: whatever an access or a walk can go through has a lane; counts, locks and what programs remember have none.

use ordering::lowering::{Caches, Directory, Key, UserId};
use ordering::model::Var;

use super::parts::Kind;
use super::states::States;

/// A lane's kind, name and neighbours.
pub(super) struct Place {
    pub(super) kind: Kind,
    /// What it is, in words.
    pub(super) what: String,
    /// What belongs to a page, or to an upper entry, stands together.
    pub(super) group: (usize, usize),
}

/// Upper entries, and entries of PASIDs and contexts, stand behind the pages.
const PAGES: usize = 0;
const UPPER: usize = 1;
const PASIDS: usize = 2;

/// The place of a variable, if it has one.
pub(super) fn place(states: &States<'_>, var: Var) -> Option<Place> {
    let scene = &states.lowered.scene;
    let name = |id: &UserId| &scene.users[id.0].name;
    let (kind, what, group) = match states.key(var) {
        Key::Pte(page) => (Kind::Table, "page table".to_owned(), (PAGES, page.0)),
        Key::Spte(page) => (Kind::Cache, "shadow entry".to_owned(), (PAGES, page.0)),
        Key::Tlb(user, page) => {
            let what = format!("{} of {}", cache(scene.users[user.0].caches), name(user));
            (Kind::Cache, what, (PAGES, page.0))
        }
        Key::Tagged(user, page, tag) => {
            let what = format!("TLB of {} under tag {}", name(user), scene.tags[tag.0]);
            (Kind::Cache, what, (PAGES, page.0))
        }
        Key::DeviceTlb(user, page) => (Kind::Cache, format!("device TLB of {}", name(user)), (PAGES, page.0)),
        Key::InFlight(user, page) => (Kind::OnTheWay, format!("walk of {}", name(user)), (PAGES, page.0)),
        Key::Completion(user, page) => (Kind::OnTheWay, format!("answer to {}", name(user)), (PAGES, page.0)),
        Key::Dma(agent, page) => {
            let what = format!("DMA of {}", states.lowered.model.agents[*agent].name);
            (Kind::OnTheWay, what, (PAGES, page.0))
        }
        Key::Pmd(pmd) => (Kind::Table, "upper entry".to_owned(), (UPPER, pmd.0)),
        Key::Spmd(pmd) => (Kind::Table, "upper shadow entry".to_owned(), (UPPER, pmd.0)),
        Key::Pwc(user, pmd) => (Kind::Cache, format!("upper, kept by {}", name(user)), (UPPER, pmd.0)),
        Key::Pasid(pasid) => {
            let what = format!("{} entry", directory(scene.directories[pasid.0]));
            (Kind::Table, what, (PASIDS, pasid.0))
        }
        Key::PasidCache(user) => {
            let what = format!("{} cache of {}", directory(scene.users[user.0].directory), name(user));
            // Only who goes by such an entry has cached one.
            (Kind::Cache, what, (PASIDS, scene.users[user.0].pasid?.0))
        }
        Key::LoadedMm(_)
        | Key::LoadedTag(_)
        | Key::Gone(_)
        | Key::Aborted(_)
        | Key::PasidHigh(_)
        | Key::PasidRead(_)
        | Key::Torn(_)
        | Key::InProgress(_)
        | Key::Content(_)
        | Key::Refs(_)
        | Key::Mapcount(_)
        | Key::Pins(_)
        | Key::Stable(_)
        | Key::Requested(_)
        | Key::Slot(_)
        | Key::Lock(_)
        | Key::Shares(..)
        | Key::Store(..)
        | Key::Section(..)
        | Key::Awaits(..)
        | Key::User(_)
        | Key::Handle(..)
        | Key::Orig(..)
        | Key::PmdOrig(..)
        | Key::Ghost(_)
        | Key::Returned(..) => return None,
    };
    Some(Place { kind, what, group })
}

const fn cache(caches: Caches) -> &'static str {
    match caches {
        Caches::Tlb | Caches::Shadow => "TLB",
        Caches::VcpuTlb => "vCPU TLB",
        Caches::Iotlb | Caches::DeviceTlb => "IOTLB",
    }
}

const fn directory(directory: Directory) -> &'static str {
    match directory {
        Directory::Pasids => "PASID",
        Directory::Contexts => "context",
    }
}
