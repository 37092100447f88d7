//! The state at the start: who maps what, and how often it is counted.
//!
//! Invariant: a mapping at the start counts as one reference and one mapping, unless `refs` says otherwise.

use std::collections::HashMap;

use steps::Directory;
use steps::entry::Kind;

use crate::language::span::Span;
use crate::language::syntax::{Mapping, Property, Question, Scenario};
use crate::language::{Code, Diagnostic};

use super::MOST_VALUES;
use super::entry::{Entries, Entry};
use super::hardware::Hardware;
use super::names::{FrameId, Names, PageId, PasidId, PmdId};
use super::queue::Posted;
use super::state::{Domains, Key, State, number};
use super::survey::Survey;
use super::upper::{Height, Uppers};
use super::written::fresh;

/// The domains of all variables, and their values at the start.
pub(super) fn initial(
    scenario: &Scenario,
    names: &Names,
    survey: &Survey,
    hardware: &Hardware,
    entries: Entries,
    diagnostics: &mut Vec<Diagnostic>,
) -> State {
    let contents: Vec<u32> = survey.contents.iter().copied().collect();
    let mut values = HashMap::new();
    let counted = entries_and_counts(scenario, names, &hardware.uppers, &entries, &mut values, diagnostics);
    for (id, frame) in (0..).map(FrameId).zip(&scenario.frames) {
        let content = contents.binary_search(&frame.content);
        let content = content.expect("the survey has collected the contents at the start");
        values.insert(Key::Content(id), number(content));
    }
    for (index, variable) in scenario.variables.iter().enumerate() {
        values.insert(Key::User(index), variable.initial - variable.least);
    }
    let remembers = |property: &&Property| matches!(&property.node, Question::Never { after: Some(_), .. });
    let ghosts = scenario.properties.iter().filter(remembers);
    let posted = |one: &Posted| format!("{} of {}", one.text, scenario.agents[one.agent].name.node);
    values.extend(hardware.spaces.starts());
    values.extend(hardware.tags.starts());
    let domains = Domains {
        pages: scenario.pages.iter().map(|page| page.node.clone()).collect(),
        pmds: scenario.pmds.iter().map(|(pmd, _)| pmd.node.clone()).collect(),
        leaves: hardware.uppers.leaves.clone(),
        frames: scenario.frames.iter().map(|frame| frame.name.node.clone()).collect(),
        users: scenario.users.iter().map(|user| user.name.node.clone()).collect(),
        agents: scenario.agents.iter().map(|agent| agent.name.node.clone()).collect(),
        entries,
        contents,
        most_refs: survey.most_refs(counted),
        most_ranges: survey.most_ranges(),
        mms: scenario.mms.iter().map(|mm| mm.node.clone()).collect(),
        tags: scenario.tags.iter().map(|tag| tag.node.clone()).collect(),
        contexts: (0..scenario.pasids.len())
            .map(|id| names.directory(PasidId(id)) == Directory::Contexts)
            .collect(),
        by_context: scenario.users.iter().map(|user| user.directory == Directory::Contexts).collect(),
        pasids: scenario.pasids.iter().map(|(pasid, _)| pasid.node.clone()).collect(),
        posted: survey.posted.iter().map(posted).collect(),
        slots: survey.slots(),
        buffers: survey.habits.iter().map(|habits| habits.buffer.clone()).collect(),
        variables: scenario.variables.iter().map(|v| (v.name.node.clone(), v.least, v.most)).collect(),
        ghosts: ghosts.count(),
    };
    State::new(domains, values)
}

/// The entries at the start, and what they count; returns the largest count.
fn entries_and_counts(
    scenario: &Scenario,
    names: &Names,
    uppers: &Uppers,
    entries: &Entries,
    values: &mut HashMap<Key, u32>,
    diagnostics: &mut Vec<Diagnostic>,
) -> u32 {
    let mut refs: Vec<u32> = scenario.frames.iter().map(|frame| u32::from(!frame.free)).collect();
    let mut mapcounts = vec![0_u32; refs.len()];
    let mut report = |diagnostic| diagnostics.push(diagnostic);
    let mut count = |entry: Entry| {
        if let (Kind::Present | Kind::Table, Some(frame)) = (entry.kind, entry.frame) {
            mapcounts[frame.0] += 1;
            refs[frame.0] = refs[frame.0].max(mapcounts[frame.0]);
        }
    };
    let agents = 0..scenario.agents.len();
    for mapping in &scenario.maps {
        match (leaf(mapping, names, uppers), fresh(&mapping.entry, Height::Leaf, names)) {
            (Ok(page), Ok(entry)) => {
                count(entry);
                let value = entries.value(entry);
                values.insert(Key::Pte(page), value);
                let same =
                    (0..scenario.pages.len()).filter(|other| uppers.leaves[*other] == page).map(PageId);
                values.extend(
                    same.flat_map(|page| agents.clone().map(move |agent| (Key::Orig(agent, page), value))),
                );
            }
            (page, entry) => [page.err(), entry.err()].into_iter().flatten().for_each(&mut report),
        }
    }
    for (id, (_, written)) in (0..).map(PmdId).zip(&scenario.pmds) {
        match fresh(written, Height::Upper, names) {
            Ok(entry) => {
                count(entry);
                let value = entries.value(entry);
                values.insert(Key::Pmd(id), value);
                values.extend(agents.clone().map(|agent| (Key::PmdOrig(agent, id), value)));
            }
            Err(diagnostic) => report(diagnostic),
        }
    }
    for (pmd, written) in &scenario.shadows {
        // An upper entry that is not declared is reported with the others.
        match (names.pmd(pmd), fresh(written, Height::Upper, names)) {
            (Ok(id), Ok(entry)) => {
                count(entry);
                values.insert(Key::Spmd(id), entries.value(entry));
            }
            (_, entry) => entry.err().into_iter().for_each(&mut report),
        }
    }
    for (name, count) in &scenario.refs {
        match names.frame(name) {
            Ok(frame) if count.node <= MOST_VALUES => refs[frame.0] = count.node,
            Ok(_) => {
                report(too_many(count.span));
            }
            Err(diagnostic) => report(diagnostic),
        }
    }
    for id in (0..refs.len()).map(FrameId) {
        values.insert(Key::Refs(id), refs[id.0]);
        values.insert(Key::Mapcount(id), mapcounts[id.0]);
    }
    refs.into_iter().chain(mapcounts).fold(0, u32::max)
}

/// The page whose entry is said.
fn leaf(mapping: &Mapping, names: &Names, uppers: &Uppers) -> Result<PageId, Diagnostic> {
    let page = names.page(&mapping.page)?;
    uppers.check(page, &mapping.page)?;
    if uppers.leaves[page.0] == page {
        return Ok(page);
    }
    let message =
        format!("`{}` has the entry of another page: their upper entries name one table", mapping.page.node);
    Err(Diagnostic::new(
        Code::SharedEntry,
        mapping.page.span,
        message,
        "say what the first page under that table is mapped to",
    ))
}

fn too_many(count: Span) -> Diagnostic {
    Diagnostic::new(Code::TooManyValues, count, "too many references to count", "write a small number")
}
