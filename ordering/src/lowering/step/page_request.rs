//! Page requests: a device asks for a page that it cannot reach, and waits until the kernel has answered.
//!
//! Invariant: one request for a page is open at a time; a later one waits. A response ends the wait and carries no
//! translation: the device walks anew. Source: PCIe ATS, page request interface; drivers/iommu/intel/prq.c.

use crate::language::span::Name;
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update};

use super::super::deed::Part;
use super::super::emitter::Emitter;
use super::super::names::PageId;
use super::super::program::{Goal, Way};
use super::super::state::{Key, number};
use super::At;

impl Emitter<'_> {
    pub(super) fn page_response(&mut self, name: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.scope.names.page(name)?;
        if !self.scope.survey.requested.contains(&self.state.domains.pages[page.0]) {
            return Err(never_requested(&format!("`{name}`"), at));
        }
        let open = self.state.var(&Key::Requested(page));
        self.step(vec![at.way(vec![Guard::IsNot(open, 0)], vec![Update::Set(open, 0)])], at.line);
        Ok(())
    }

    pub(super) fn drain_requests(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let pages: Vec<PageId> =
            self.scope.survey.requested.iter().filter_map(|page| self.scope.names.page_named(page)).collect();
        if pages.is_empty() {
            return Err(never_requested("a page", at));
        }
        let none = pages.into_iter().map(|page| Guard::Is(self.state.var(&Key::Requested(page)), 0));
        let way = at.way(none.collect(), Vec::new());
        self.step(vec![way], at.line);
        Ok(())
    }

    /// Queue it, and wait for the response. A device whose PASID names another address space is refused.
    pub(super) fn page_request(&mut self, name: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let (user, page) = self.translation(name, at)?;
        let (open, me) = (self.state.var(&Key::Requested(page)), number(self.own.agent) + 1);
        let out = self.out.builder.label();
        let mut queued = vec![Guard::Is(open, 0)];
        let mut ways = Vec::new();
        if let Some((named, other)) = self.scope.hardware.spaces.named_in_memory(user, page, self.state) {
            queued.push(named);
            let refused = Way::new(vec![other], Vec::new(), format!("{}: refused", at.text));
            ways.push(refused.to(Goal::Label(out)).part(Part::Nothing));
        }
        ways.push(at.way(queued, vec![Update::Set(open, me)]));
        self.step(ways, at.line);
        let answered = format!("{}: answered", at.text);
        let answered = Way::new(vec![Guard::IsNot(open, me)], Vec::new(), answered).part(Part::Answered);
        self.step(vec![answered], at.line);
        self.out.builder.bind(out);
        Ok(())
    }
}

fn never_requested(what: &str, at: &At<'_>) -> Diagnostic {
    let message = format!("no device ever requests {what}");
    Diagnostic::new(Code::NeverRequested, at.span, message, "let a device do it: `page_request A`")
}
