//! Sections that others wait for: interrupts off, the read side of RCU; and the steps that wait for them.
//!
//! Invariant: sections of one kind do not nest; who ends one that was not begun, or begins one twice, leaves the range.
//! Interrupts off are a read side of RCU too, and `gup_fast` runs with interrupts off. Source: kernel/smp.c,
//! Documentation/RCU.

use steps::Section;

use crate::language::Diagnostic;
use crate::model::{Guard, Update};

use super::super::emitter::Emitter;
use super::super::program::Place;
use super::super::state::Key;
use super::At;

impl Emitter<'_> {
    pub(super) fn ipi_sync(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let answers = self.interrupted();
        self.round(answers, &[Section::Interrupts], at);
        Ok(())
    }

    pub(super) fn synchronize_rcu(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let sections = [Section::Interrupts, Section::Rcu];
        let answers = self.read(&sections);
        self.round(answers, &sections, at);
        Ok(())
    }

    pub(super) fn enter(&mut self, section: Section, at: &At<'_>) -> Result<(), Diagnostic> {
        let mut guard = Vec::new();
        if section == Section::Interrupts {
            guard.extend(self.undisturbed());
        }
        self.section(section, (0, 1), guard, at);
        Ok(())
    }

    pub(super) fn leave(&mut self, section: Section, at: &At<'_>) -> Result<(), Diagnostic> {
        self.section(section, (1, 0), Vec::new(), at);
        Ok(())
    }

    fn section(&mut self, section: Section, (now, then): (u32, u32), more: Vec<Guard>, at: &At<'_>) {
        let var = self.state.var(&Key::Section(section, self.own.agent));
        let guard = std::iter::once(Guard::Is(var, now)).chain(more).collect();
        let way = at.way(guard, vec![Update::Set(var, then)]);
        let twice = at.way(vec![Guard::Is(var, then)], Vec::new());
        let ways = self.or_out_of_range(way, twice);
        self.step(ways, at.line);
    }

    /// Lets the nodes from `start` on run with interrupts off, if anybody could notice: the step that enters them switches
    /// them off, every step that leaves them on again.
    pub(super) fn masked(&mut self, start: usize) {
        if !self.scope.habits()[self.own.agent].gup_masks {
            return;
        }
        let off = self.state.var(&Key::Section(Section::Interrupts, self.own.agent));
        let (end, undisturbed) = (self.out.builder.nodes.len(), self.undisturbed());
        for node in start..end {
            let Place::Step(mut ways, line) = self.out.builder.nodes[node].clone() else { continue };
            for way in &mut ways {
                let leaves = !(start..end).contains(&self.out.builder.target(node, way.goal));
                if leaves != (node == start) {
                    way.updates.push(Update::Set(off, u32::from(!leaves)));
                }
                if node == start {
                    way.guard.extend(&undisturbed);
                }
            }
            self.out.builder.nodes[node] = Place::Step(ways, line);
        }
    }
}
