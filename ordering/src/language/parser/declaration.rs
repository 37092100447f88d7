//! Declarations: everything of a scenario that stands on one line.
//!
//! Invariant: each declaration has one form, which is also its help.

use steps::Directory;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Spanned};
use super::super::suggest::did_you_mean;
use super::super::syntax::{Frame, FrameKind, Mapping, Scenario, User, UserKind, Variable};
use super::cursor::{Cursor, Parsed};
use super::entry::entry;
use super::keyword::Declared;
use super::said::Said;

/// Options: their values, the one that holds if nothing is said first, and what they assume.
pub const OPTIONS: &[(&str, &[&str], &str)] = &[
    ("walk", &["whole", "split"], "whether reading the entry and filling the cache are two steps"),
    (
        "inv_drains",
        &["on", "off"],
        "whether `notify` and `iotlb_inv` discard the walks that devices have begun, and wait for what has not landed",
    ),
    (
        "ats_drains",
        &["on", "off"],
        "whether `notify` and `devtlb_inv` discard the translations on their way to a device TLB that is \
         apart, and wait for what has not landed",
    ),
    (
        "dma",
        &["whole", "split"],
        "whether what a device has translated lands at once, or in a step of its own, for which invalidations wait",
    ),
    ("queue", &["any", "ordered"], "whether what is posted is done in any order, or in its own"),
    (
        "timeout",
        &["never", "gone", "late"],
        "whether a posted invalidation that a device does not answer is given up: never, if it is gone, or also if it is late",
    ),
    (
        "flush",
        &["whole", "split", "ipi"],
        "whether `flush_tlb` reaches the CPUs at once, one step at a time, or by interrupts",
    ),
    ("memory", &["sc", "tso"], "whether a plain store is seen by all at once, or waits in a store buffer"),
    ("speculation", &["off", "on"], "whether hardware walks at any time, for what programs translate"),
    ("evict", &["on", "off"], "whether a cache may lose an entry at any time, and walk again"),
    (
        "use_after_free",
        &["on", "off"],
        "whether the use of a freed frame is a violation, or goes on and counts nothing",
    ),
    (
        "walk_after_free",
        &["on", "off"],
        "whether the walk of a freed page-table page is a violation, or goes on with what it says",
    ),
    (
        "walk_unlinked",
        &["on", "off"],
        "whether a step on the entry of a page is a violation while the upper entry does not name its table",
    ),
    (
        "unlock",
        &["on", "off"],
        "whether an unlock without lock is a violation, or goes on and releases nothing",
    ),
    ("deadlock", &["on", "off"], "whether it is a violation that nobody can go on"),
    ("livelock", &["on", "off"], "whether it is a violation that steps go on for ever and nobody can end"),
    (
        "range",
        &["on", "off"],
        "whether a count that leaves its range is a violation, or waits until it would not",
    ),
];

/// Reads a declaration into `scenario`; the line is at its second word.
pub(super) fn declaration(
    declared: Declared,
    cursor: &mut Cursor<'_>,
    scenario: &mut Scenario,
    said: &mut Said,
) -> Parsed<()> {
    let form = declared.form();
    loop {
        one(declared, cursor, scenario, said)?;
        if !cursor.eat(",") {
            return cursor.done(form);
        }
    }
}

/// What stands between two commas.
fn one(declared: Declared, cursor: &mut Cursor<'_>, scenario: &mut Scenario, said: &mut Said) -> Parsed<()> {
    let form = declared.form();
    match declared {
        Declared::Page => page(cursor, scenario, said, form)?,
        Declared::Mm => {
            let mm = cursor.name("the name of an address space", form)?;
            said.declare(&mm)?;
            scenario.mms.push(mm);
        }
        Declared::Tag => {
            let tag = cursor.name("the name of a tag", form)?;
            said.declare(&tag)?;
            scenario.tags.push(tag);
        }
        Declared::Pasid => {
            pasid(cursor, "the name of a PASID", form, scenario, said)?;
        }
        Declared::Context => {
            let entry = pasid(cursor, "the name of a context entry", form, scenario, said)?;
            scenario.contexts.push(entry);
        }
        Declared::Frame => framed(frame(cursor, FrameKind::Frame, form)?, scenario, said)?,
        Declared::Swap => framed(frame(cursor, FrameKind::Slot, form)?, scenario, said)?,
        Declared::Table => framed(table(cursor, form)?, scenario, said)?,
        Declared::Pmd => {
            let Mapping { page: pmd, entry } = mapping(cursor, "an upper entry", form)?;
            said.declare(&pmd)?;
            scenario.pmds.push((pmd, entry));
        }
        Declared::Shadow => {
            let Mapping { page: pmd, entry } = mapping(cursor, "an upper entry", form)?;
            said.once(format!("shadow {}", pmd.node), pmd.span)?;
            scenario.shadows.push((pmd, entry));
        }
        Declared::Map => {
            let mapping = mapping(cursor, "a page", form)?;
            said.once(format!("map {}", mapping.page.node), mapping.page.span)?;
            scenario.maps.push(mapping);
        }
        Declared::Refs => {
            let frame = cursor.name("a frame", form)?;
            cursor.sign("=", form)?;
            let count = cursor.number(form)?;
            said.once(format!("refs {}", frame.node), frame.span)?;
            scenario.refs.push((frame, count));
        }
        Declared::Cpu => translating(user(cursor, UserKind::Cpu, form)?, scenario, said)?,
        Declared::Vcpu => translating(user(cursor, UserKind::Vcpu, form)?, scenario, said)?,
        Declared::Device => translating(user(cursor, UserKind::Device, form)?, scenario, said)?,
        Declared::Var => {
            let variable = variable(cursor, form)?;
            said.declare(&variable.name)?;
            scenario.variables.push(variable);
        }
    }
    Ok(())
}

fn page(cursor: &mut Cursor<'_>, scenario: &mut Scenario, said: &mut Said, form: &str) -> Parsed<()> {
    let page = cursor.name("the name of a page", form)?;
    if cursor.eat_word("in") {
        scenario.homes.push((page.clone(), cursor.name("an address space", form)?));
    }
    if cursor.eat_word("at") {
        scenario.places.push((page.clone(), cursor.name("a page of another address space", form)?));
    }
    if cursor.eat_word("under") {
        scenario.above.push((page.clone(), cursor.name("an upper entry", form)?));
    }
    said.declare(&page)?;
    scenario.pages.push(page);
    Ok(())
}

/// `X -> P`: a PASID or a context entry.
fn pasid(
    cursor: &mut Cursor<'_>,
    what: &str,
    form: &str,
    scenario: &mut Scenario,
    said: &mut Said,
) -> Parsed<Name> {
    let pasid = cursor.name(what, form)?;
    let names = cursor.eat("->") && !cursor.eat_word("none");
    let mm = if names { Some(cursor.name("an address space", form)?) } else { None };
    said.declare(&pasid)?;
    scenario.pasids.push((pasid.clone(), mm));
    Ok(pasid)
}

fn framed(frame: Frame, scenario: &mut Scenario, said: &mut Said) -> Parsed<()> {
    said.declare(&frame.name)?;
    scenario.frames.push(frame);
    Ok(())
}

fn translating(user: User, scenario: &mut Scenario, said: &mut Said) -> Parsed<()> {
    said.declare(&user.name)?;
    scenario.users.push(user);
    Ok(())
}

fn table(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Frame> {
    let name = cursor.name("the name of a page-table page", form)?;
    Ok(Frame { name, content: 0, free: cursor.eat_word("free"), kind: FrameKind::Table })
}

fn frame(cursor: &mut Cursor<'_>, kind: FrameKind, form: &str) -> Parsed<Frame> {
    let slot = kind == FrameKind::Slot;
    let name = cursor.name(if slot { "the name of a swap slot" } else { "the name of a frame" }, form)?;
    let content = if cursor.eat("=") { cursor.number(form)?.node } else { 0 };
    Ok(Frame { name, content, free: cursor.eat_word("free"), kind })
}

fn mapping(cursor: &mut Cursor<'_>, what: &str, form: &str) -> Parsed<Mapping> {
    let page = cursor.name(what, form)?;
    cursor.sign("->", form)?;
    Ok(Mapping { page, entry: entry(cursor, form)? })
}

fn user(cursor: &mut Cursor<'_>, kind: UserKind, form: &str) -> Parsed<User> {
    let name = cursor.name("a name", form)?;
    let ats = kind == UserKind::Device && cursor.eat_word("ats");
    let device = kind == UserKind::Device;
    let (pasid, directory) = match () {
        () if device && cursor.eat_word("pasid") => {
            (Some(cursor.name("a PASID", "device DEV ats pasid X")?), Directory::Pasids)
        }
        () if device && cursor.eat_word("context") => {
            (Some(cursor.name("a context entry", "device DEV ats context E")?), Directory::Contexts)
        }
        () => (None, Directory::Pasids),
    };
    let begins = kind == UserKind::Cpu && cursor.eat_word("in");
    let context = if begins { Some(context(cursor)?) } else { None };
    Ok(User { name, kind, ats, pasid, directory, context })
}

/// `P tag X`.
fn context(cursor: &mut Cursor<'_>) -> Parsed<(Name, Name)> {
    const FORM: &str = "cpu CPU0 in P tag X";
    let mm = cursor.name("an address space", FORM)?;
    if !cursor.eat_word("tag") {
        return Err(cursor.expected("`tag`", FORM));
    }
    Ok((mm, cursor.name("a tag", FORM)?))
}

fn variable(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Variable> {
    let name = cursor.name("the name of a variable", form)?;
    cursor.sign("=", form)?;
    let least = cursor.number(form)?;
    cursor.sign("..", form)?;
    let most = cursor.number(form)?;
    let initial =
        if cursor.eat_word("from") { cursor.number("var pending = 0..3 from 1")? } else { least.clone() };
    if most.node < least.node || initial.node < least.node || initial.node > most.node {
        let message = format!("{} does not lie in {}..{}", initial.node, least.node, most.node);
        let help = "write the least and the greatest value, and a start between them";
        return Err(Diagnostic::new(
            Code::OutsideRange,
            least.span.to(initial.span).to(most.span),
            message,
            help,
        ));
    }
    Ok(Variable { name, least: least.node, most: most.node, initial: initial.node })
}

/// `option name = value`.
pub(super) fn option(cursor: &mut Cursor<'_>) -> Parsed<(Name, Name)> {
    const FORM: &str = "option walk = split";
    let name = cursor.name("the name of an option", FORM)?;
    cursor.sign("=", FORM)?;
    let value = cursor.name("a value", FORM)?;
    cursor.done(FORM)?;
    let names: Vec<_> = OPTIONS.iter().map(|(name, ..)| *name).collect();
    let Some((_, values, _)) = OPTIONS.iter().find(|(known, ..)| *known == name.node) else {
        let help = did_you_mean(&name.node, &names, &format!("there are {}", names.join(", ")));
        return Err(Diagnostic::new(
            Code::UnknownOption,
            name.span,
            format!("there is no option `{}`", name.node),
            help,
        ));
    };
    if !values.contains(&value.node.as_str()) {
        let message = format!("option `{}` has no value `{}`", name.node, value.node);
        return Err(Diagnostic::new(
            Code::UnknownValue,
            value.span,
            message,
            format!("write one of {}", values.join(", ")),
        ));
    }
    Ok((name, value))
}

/// The name behind `scenario` or `like`: the rest of the line, which may hold `-`.
pub(super) fn title(line: super::super::line::Line<'_>, keyword: &str) -> Parsed<Name> {
    let rest = line.rest();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if rest.text.is_empty() || !rest.text.chars().all(fits) {
        let message = format!("`{keyword}` needs a name of letters, digits and `-`");
        let span = if rest.text.is_empty() { line.span() } else { rest.span() };
        return Err(Diagnostic::new(
            Code::BadTitle,
            span,
            message,
            format!("write `{keyword} cow-clear-flush-only`"),
        ));
    }
    Ok(Spanned::new(rest.text.to_owned(), rest.span()))
}
