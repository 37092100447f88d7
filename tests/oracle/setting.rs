//! A scenario: what there is, who does what, what must not happen.
//!
//! Invariant: it is written as the scenario language wants it; the order of things is their number.
//! Source: docs/language.md, "Lines" and "Properties".

use std::fmt;

use super::entry::{Entry, Things};
use super::program::{Condition, Statement, rows};
use super::step::{Mm, Page, Tag};

/// Where an agent runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Nowhere,
    Cpu(usize),
    Vcpu(usize),
    Device(usize),
}

#[derive(Clone, Debug)]
pub(super) struct PageOf {
    pub(super) mm: Option<Mm>,
    pub(super) pmd: Option<usize>,
    /// The page whose address it has in its own address space.
    pub(super) at: Option<Page>,
    pub(super) map: Option<Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct FrameOf {
    pub(super) content: u8,
    pub(super) free: bool,
    pub(super) refs: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct DeviceOf {
    pub(super) ats: bool,
    pub(super) pasid: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct VarOf {
    pub(super) least: u8,
    pub(super) greatest: u8,
    pub(super) start: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) spontaneous: bool,
    pub(super) body: Vec<Statement>,
}

/// What an event reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Touched {
    Page(Page),
    Frame(usize),
}

/// An event of a property. An agent by its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Reads(Option<usize>, Touched, Option<(&'static str, u8)>),
    Writes(Option<usize>, Touched, Option<(&'static str, u8)>),
    Step(Option<usize>, String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Property {
    Never { what: Event, after: Option<Event>, until: Option<Event> },
    Always(Condition),
    Finally(Condition),
}

/// A scenario.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) mms: usize,
    pub(super) tags: usize,
    pub(super) pages: Vec<PageOf>,
    pub(super) frames: Vec<FrameOf>,
    pub(super) slots: Vec<bool>,
    /// Whether it is free at the start.
    pub(super) tables: Vec<bool>,
    pub(super) pmds: Vec<Entry>,
    pub(super) cpus: usize,
    /// By CPU: in which address space it begins, and under which tag; none if it has no tags.
    pub(super) contexts: Vec<Option<(Mm, Tag)>>,
    pub(super) vcpus: usize,
    pub(super) devices: Vec<DeviceOf>,
    /// What the one PASID names, if there is one.
    pub(super) pasid: Option<Option<Mm>>,
    pub(super) vars: Vec<VarOf>,
    /// Names and values that are not the first.
    pub(super) options: Vec<(&'static str, &'static str)>,
    pub(super) agents: Vec<Agent>,
    pub(super) properties: Vec<Property>,
}

impl Scenario {
    pub(super) fn option(&self, name: &str, value: &str) -> bool {
        self.options.iter().any(|(known, set)| *known == name && *set == value)
    }

    /// The first page that has the same address.
    pub(super) fn address(&self, page: usize) -> usize {
        self.pages[page].at.map_or(page, |at| at.0)
    }

    /// Where a CPU begins that has tags.
    pub(super) fn context(&self, cpu: usize) -> Option<(Mm, Tag)> {
        self.contexts.get(cpu).copied().flatten()
    }

    /// The first page that has the same entry: where upper entries name one table, their first pages have one, and so on.
    pub(super) fn entry_of(&self, page: usize) -> usize {
        let Some(pmd) = self.pages[page].pmd else { return page };
        let below = |pmd| (0..self.pages.len()).filter(move |other| self.pages[*other].pmd == Some(pmd));
        let nth = below(pmd).position(|other| other == page).expect("it is below its upper entry");
        let table = self.pmds[pmd].target;
        let same = (0..self.pmds.len()).filter(|other| self.pmds[*other].target == table);
        same.filter_map(|pmd| below(pmd).nth(nth)).next().expect("the page itself is one")
    }

    pub(super) fn things(&self) -> Things {
        Things { frames: self.frames.len(), slots: self.slots.len(), tables: self.tables.len() }
    }

    fn write_things(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mm in 0..self.mms {
            writeln!(f, "mm {}", Mm(mm))?;
        }
        (0..self.tags).try_for_each(|tag| writeln!(f, "tag {}", Tag(tag)))?;
        for (number, page) in self.pages.iter().enumerate() {
            write!(f, "page {}", Page(number))?;
            if let Some(mm) = page.mm {
                write!(f, " in {mm}")?;
            }
            if let Some(at) = page.at {
                write!(f, " at {at}")?;
            }
            match page.pmd {
                Some(pmd) => writeln!(f, " under M{pmd}")?,
                None => writeln!(f)?,
            }
        }
        for (number, frame) in self.frames.iter().enumerate() {
            writeln!(f, "frame f{number} = {}{}", frame.content, if frame.free { " free" } else { "" })?;
        }
        for (number, free) in self.slots.iter().enumerate() {
            writeln!(f, "swap s{number} = 0{}", if *free { " free" } else { "" })?;
        }
        for (number, free) in self.tables.iter().enumerate() {
            writeln!(f, "table T{number}{}", if *free { " free" } else { "" })?;
        }
        for (number, entry) in self.pmds.iter().enumerate() {
            writeln!(f, "pmd M{number} -> {entry}")?;
        }
        for (number, page) in self.pages.iter().enumerate() {
            if let Some(entry) = &page.map {
                writeln!(f, "map {} -> {entry}", Page(number))?;
            }
        }
        for (number, frame) in self.frames.iter().enumerate() {
            if let Some(refs) = frame.refs {
                writeln!(f, "refs f{number} = {refs}")?;
            }
        }
        Ok(())
    }

    fn write_machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pasid {
            Some(Some(mm)) => writeln!(f, "pasid X -> {mm}")?,
            Some(None) => writeln!(f, "pasid X -> none")?,
            None => {}
        }
        (0..self.cpus).try_for_each(|cpu| match self.context(cpu) {
            Some((mm, tag)) => writeln!(f, "cpu C{cpu} in {mm} tag {tag}"),
            None => writeln!(f, "cpu C{cpu}"),
        })?;
        (0..self.vcpus).try_for_each(|vcpu| writeln!(f, "vcpu V{vcpu}"))?;
        for (number, device) in self.devices.iter().enumerate() {
            let ats = if device.ats { " ats" } else { "" };
            let pasid = if device.pasid { " pasid X" } else { "" };
            writeln!(f, "device D{number}{ats}{pasid}")?;
        }
        for (number, VarOf { least, greatest, start }) in self.vars.iter().enumerate() {
            writeln!(f, "var x{number} = {least}..{greatest} from {start}")?;
        }
        self.options.iter().try_for_each(|(name, value)| writeln!(f, "option {name} = {value}"))
    }

    fn event(&self, event: &Event) -> String {
        let who =
            |agent: &Option<usize>| agent.map_or(String::new(), |a| format!("{} ", self.agents[a].name));
        let touched = |touched: &Touched| match touched {
            Touched::Page(page) => page.to_string(),
            Touched::Frame(frame) => format!("f{frame}"),
        };
        let value =
            |value: &Option<(&str, u8)>| value.map_or(String::new(), |(sign, v)| format!(" {sign} {v}"));
        match event {
            Event::Reads(agent, what, v) => format!("{}reads {}{}", who(agent), touched(what), value(v)),
            Event::Writes(agent, what, v) => format!("{}writes {}{}", who(agent), touched(what), value(v)),
            Event::Step(agent, text) => format!("{}{text}", who(agent)),
        }
    }

    /// A property as it is written.
    pub(super) fn property(&self, property: &Property) -> String {
        match property {
            Property::Always(condition) => format!("always {condition}"),
            Property::Finally(condition) => format!("finally {condition}"),
            Property::Never { what, after, until } => {
                let clause = |word: &str, event: &Option<Event>| {
                    event.as_ref().map_or(String::new(), |event| format!(" {word} {}", self.event(event)))
                };
                format!("never {}{}{}", self.event(what), clause("after", after), clause("until", until))
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario random")?;
        self.write_things(f)?;
        self.write_machine(f)?;
        for agent in &self.agents {
            let place = match agent.place {
                Place::Nowhere => String::new(),
                Place::Cpu(cpu) => format!(" on C{cpu}"),
                Place::Vcpu(vcpu) => format!(" on V{vcpu}"),
                Place::Device(device) => format!(" on D{device}"),
            };
            let spontaneous = if agent.spontaneous { " spontaneous" } else { "" };
            write!(f, "agent {}{place}{spontaneous}\n{}", agent.name, rows(&agent.body))?;
        }
        self.properties.iter().try_for_each(|property| writeln!(f, "{}", self.property(property)))
    }
}
