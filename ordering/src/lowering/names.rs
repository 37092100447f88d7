//! What the names of a scenario stand for.
//!
//! Invariant: a name stands for one thing; who uses one that is not declared gets the nearest that is.

use std::collections::HashMap;

use steps::Directory;

use crate::language::span::{Name, Spanned};
use crate::language::syntax::{FrameKind, Scenario, UserKind};
use crate::language::{Code, Diagnostic, declared_twice, did_you_mean};

/// Index of a page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PageId(pub usize);

/// Index of a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FrameId(pub usize);

/// Index of an upper entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PmdId(pub usize);

/// Index of a CPU, vCPU or device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UserId(pub usize);

/// Index of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MmId(pub usize);

/// Index of a PASID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PasidId(pub usize);

/// Index of what a TLB tells address spaces by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TagId(pub usize);

/// Stands for every page, in a step that goes through a translation.
pub(super) const ANY: &str = "any";

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    Page(PageId),
    Frame(FrameId),
    User(UserId),
    Mm(MmId),
    Pasid(PasidId),
    Tag(TagId),
    Pmd(PmdId),
    Variable(usize),
}

/// The names of a scenario.
#[derive(Debug, Default)]
pub(super) struct Names {
    meanings: HashMap<String, Meaning>,
    pub(super) kinds: Vec<UserKind>,
    /// What each frame is.
    pub(super) frames: Vec<FrameKind>,
    /// In which table each PASID or context entry stands.
    directories: Vec<Directory>,
}

impl Names {
    /// The names that `scenario` declares; those declared twice are reported.
    pub(super) fn new(scenario: &Scenario, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut names = Self::default();
        let pages = scenario.pages.iter().enumerate().map(|(id, name)| (name, Meaning::Page(PageId(id))));
        let frames =
            scenario.frames.iter().enumerate().map(|(id, frame)| (&frame.name, Meaning::Frame(FrameId(id))));
        let users =
            scenario.users.iter().enumerate().map(|(id, user)| (&user.name, Meaning::User(UserId(id))));
        let variables = scenario.variables.iter().enumerate().map(|(id, v)| (&v.name, Meaning::Variable(id)));
        let mms = scenario.mms.iter().enumerate().map(|(id, mm)| (mm, Meaning::Mm(MmId(id))));
        let pasids =
            scenario.pasids.iter().enumerate().map(|(id, one)| (&one.0, Meaning::Pasid(PasidId(id))));
        if let Some(any) = scenario.pages.iter().find(|page| page.node == ANY) {
            let message = format!("`{ANY}` stands for every page, and is no name of one");
            diagnostics.push(Diagnostic::new(
                Code::AnyIsTaken,
                any.span,
                message,
                "give the page another name",
            ));
        }
        let pmds = scenario.pmds.iter().enumerate().map(|(id, one)| (&one.0, Meaning::Pmd(PmdId(id))));
        let tags = scenario.tags.iter().enumerate().map(|(id, tag)| (tag, Meaning::Tag(TagId(id))));
        let spaces = mms.chain(pasids).chain(tags).chain(pmds);
        let mut places = HashMap::new();
        for (name, meaning) in pages.chain(frames).chain(users).chain(variables).chain(spaces) {
            names.meanings.insert(name.node.clone(), meaning);
            if let Some(place) = places.insert(&name.node, name.span) {
                let (first, second) = (place.min(name.span), place.max(name.span));
                let name = Spanned::new(name.node.clone(), second);
                diagnostics.push(declared_twice(&name, first));
            }
        }
        let is_context = |name: &Name| scenario.contexts.iter().any(|context| context.node == name.node);
        let directory = |name| if is_context(name) { Directory::Contexts } else { Directory::Pasids };
        names.directories = scenario.pasids.iter().map(|(name, _)| directory(name)).collect();
        names.frames = scenario.frames.iter().map(|frame| frame.kind).collect();
        names.kinds = scenario.users.iter().map(|user| user.kind).collect();
        names
    }

    /// What `name` stands for, if it is declared.
    pub(super) fn meaning(&self, name: &str) -> Option<Meaning> {
        self.meanings.get(name).copied()
    }

    /// All that translate in this way.
    pub(super) fn users_of(&self, kind: UserKind) -> impl Iterator<Item = UserId> {
        (0..self.kinds.len()).filter(move |user| self.kinds[*user] == kind).map(UserId)
    }

    pub(super) fn page_named(&self, name: &str) -> Option<PageId> {
        if let Some(Meaning::Page(id)) = self.meaning(name) { Some(id) } else { None }
    }

    pub(super) fn page(&self, name: &Name) -> Result<PageId, Diagnostic> {
        let is = |meaning: &Meaning| matches!(meaning, Meaning::Page(_));
        self.page_named(&name.node).ok_or_else(|| self.undeclared(name, "page", "page A", is))
    }

    pub(super) fn frame(&self, name: &Name) -> Result<FrameId, Diagnostic> {
        if let Some(Meaning::Frame(id)) = self.meaning(&name.node) {
            return Ok(id);
        }
        let is = |meaning: &Meaning| matches!(meaning, Meaning::Frame(_));
        Err(self.undeclared(name, "frame", "frame old = 0", is))
    }

    /// The frame or the swap slot with that name, for whoever looks at its content or changes it.
    pub(super) fn filled(&self, name: &Name) -> Result<FrameId, Diagnostic> {
        let frame = self.frame(name)?;
        match self.frames[frame.0] {
            FrameKind::Frame | FrameKind::Slot => Ok(frame),
            FrameKind::Table => {
                let message =
                    format!("`{}` is a page-table page: it holds entries, and no content", name.node);
                Err(Diagnostic::new(
                    Code::TableContent,
                    name.span,
                    message,
                    "name a frame, or a page whose entry lies there",
                ))
            }
        }
    }

    pub(super) fn variable(&self, name: &Name) -> Result<usize, Diagnostic> {
        if let Some(Meaning::Variable(index)) = self.meaning(&name.node) {
            return Ok(index);
        }
        let help = format!("declare it: `var {} = 0..1`", name.node);
        Err(Diagnostic::new(
            Code::Undeclared,
            name.span,
            format!("there is no variable `{}`", name.node),
            help,
        ))
    }

    pub(super) fn mm(&self, name: &Name) -> Result<MmId, Diagnostic> {
        if let Some(Meaning::Mm(id)) = self.meaning(&name.node) {
            return Ok(id);
        }
        let is = |meaning: &Meaning| matches!(meaning, Meaning::Mm(_));
        Err(self.undeclared(name, "address space", "mm P", is))
    }

    /// An entry of that table.
    pub(super) fn pasid(&self, directory: Directory, name: &Name) -> Result<PasidId, Diagnostic> {
        let (what, form) = match directory {
            Directory::Pasids => ("PASID", "pasid X"),
            Directory::Contexts => ("context entry", "context E"),
        };
        match self.any_pasid(name) {
            Ok(id) if self.directories[id.0] == directory => Ok(id),
            Ok(_) => {
                let message = format!("`{name}` is no {what}");
                Err(Diagnostic::new(
                    Code::WrongDirectory,
                    name.span,
                    message,
                    format!("declare one: `{form} -> P`"),
                ))
            }
            Err(()) => Err(self.undeclared(name, what, form, |meaning| matches!(meaning, Meaning::Pasid(_)))),
        }
    }

    /// A PASID or a context entry.
    pub(super) fn any_pasid(&self, name: &Name) -> Result<PasidId, ()> {
        if let Some(Meaning::Pasid(id)) = self.meaning(&name.node) { Ok(id) } else { Err(()) }
    }

    /// In which table it stands.
    pub(super) fn directory(&self, id: PasidId) -> Directory {
        self.directories[id.0]
    }

    pub(super) fn tag(&self, name: &Name) -> Result<TagId, Diagnostic> {
        if let Some(Meaning::Tag(id)) = self.meaning(&name.node) {
            return Ok(id);
        }
        let is = |meaning: &Meaning| matches!(meaning, Meaning::Tag(_));
        Err(self.undeclared(name, "tag", "tag X", is))
    }

    pub(super) fn pmd(&self, name: &Name) -> Result<PmdId, Diagnostic> {
        if let Some(Meaning::Pmd(id)) = self.meaning(&name.node) {
            return Ok(id);
        }
        let is = |meaning: &Meaning| matches!(meaning, Meaning::Pmd(_));
        Err(self.undeclared(name, "upper entry", "pmd M -> T", is))
    }

    pub(super) fn user(&self, name: &Name) -> Result<UserId, Diagnostic> {
        if let Some(Meaning::User(id)) = self.meaning(&name.node) {
            return Ok(id);
        }
        let is = |meaning: &Meaning| matches!(meaning, Meaning::User(_));
        Err(self.undeclared(name, "CPU or device", "cpu CPU0", is))
    }

    fn undeclared(&self, name: &Name, what: &str, form: &str, is: fn(&Meaning) -> bool) -> Diagnostic {
        let mut known: Vec<_> =
            self.meanings.iter().filter(|(_, meaning)| is(meaning)).map(|(name, _)| name.as_str()).collect();
        known.sort_unstable();
        let (declare, _) = form.split_once(' ').expect("a declaration is a word and a name");
        let rest = form.split_once(" -> ").map_or(String::new(), |(_, rest)| format!(" -> {rest}"));
        let help = did_you_mean(&name.node, &known, &format!("declare it: `{declare} {}{rest}`", name.node));
        Diagnostic::new(Code::Undeclared, name.span, format!("there is no {what} `{}`", name.node), help)
    }
}
