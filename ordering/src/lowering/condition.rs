//! Conditions become guards: one of several conjunctions must hold.
//!
//! Invariant: the conjunctions hold in exactly the states in which the condition does. Entries are compared as far as
//! both sides say: one equals a frame if it maps it, whatever it allows.

use steps::Directory;
use steps::entry::{Change, Feature, Kind};
use steps::table::{LOOKS, SAME};

use crate::language::entry::{Base, Written};
use crate::language::span::{Name, Span};
use crate::language::syntax::{Comparison, Condition, Operand, Term};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Var};

use super::entry::{Entry, Pattern};
use super::hardware::{Caches, Hardware, no_cache};
use super::names::{Meaning, MmId, Names};
use super::state::{AgentId, Key, State, number};
use super::upper::Height;
use super::written::{fresh, pattern};

/// One of these must hold, each of them whole.
pub(super) type Ways = Vec<Vec<Guard>>;

/// Conjunctions at most; a condition that needs more is no line a person can read.
const MOST: usize = 4096;

/// A value that can be compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Number(i64),
    /// `none`, whatever it is compared with.
    Nothing,
    /// None, or an address space.
    Space(Option<MmId>),
    /// An entry as far as it is said.
    Entry(Pattern),
}

/// The values of an operand: of a variable, by value, or one constant.
struct Side {
    var: Option<Var>,
    values: Vec<Value>,
}

/// Where conditions are read.
pub(super) struct Conditions<'a> {
    pub(super) state: &'a mut State,
    pub(super) names: &'a Names,
    pub(super) hardware: &'a Hardware,
    /// Who looks; a property has nobody.
    pub(super) agent: Option<AgentId>,
    /// The handles of that agent.
    pub(super) handles: &'a [String],
}

impl Conditions<'_> {
    /// The guards of `condition`, or of its opposite if it is not `wanted`.
    pub(super) fn ways(&mut self, condition: &Condition, wanted: bool) -> Result<Ways, Diagnostic> {
        match (condition, wanted) {
            (Condition::Not(inner), _) => self.ways(inner, !wanted),
            (Condition::And(left, right), true) | (Condition::Or(left, right), false) => {
                let (left, right) = (self.ways(left, wanted)?, self.ways(right, wanted)?);
                if left.len().saturating_mul(right.len()) > MOST {
                    return Err(too_wide(condition));
                }
                let both = |one: &Vec<Guard>| {
                    let one = one.clone();
                    right.iter().map(move |other| [one.as_slice(), other].concat()).collect::<Vec<_>>()
                };
                Ok(left.iter().flat_map(both).collect())
            }
            (Condition::Or(left, right), true) | (Condition::And(left, right), false) => {
                let mut ways = self.ways(left, wanted)?;
                ways.extend(self.ways(right, wanted)?);
                Ok(ways)
            }
            (Condition::Compare(left, how, right), _) => {
                let how = if wanted { *how } else { how.negated() };
                self.compare(left, how, right)
            }
            (Condition::Truth(operand), _) => self.truth(operand, wanted),
            (Condition::Has(operand, features), _) => self.has(operand, features, wanted),
        }
    }

    fn truth(&mut self, operand: &Operand, wanted: bool) -> Result<Ways, Diagnostic> {
        if let Term::Call(name, arguments) = &operand.term
            && SAME.contains(&name.node.as_str())
        {
            let [place] = arguments.as_slice() else { return Err(arguments_wrong(name)) };
            let now = if name.node == "pte_same" {
                Key::Pte(self.names.page(place)?)
            } else {
                Key::Pmd(self.names.pmd(place)?)
            };
            let (pte, orig) = (self.state.var(&now), self.remembered(name, place)?);
            let orig = self.state.var(&orig);
            return Ok(vec![vec![if wanted { Guard::Same(pte, orig) } else { Guard::Differ(pte, orig) }]]);
        }
        let side = self.side(operand)?;
        let holds = |value: Value| match value {
            Value::Number(number) => number != 0,
            other => !is_nothing(other),
        };
        Ok(self.allowed(&side, |value| holds(value) == wanted))
    }

    fn has(&mut self, operand: &Operand, features: &[Feature], wanted: bool) -> Result<Ways, Diagnostic> {
        let side = self.side(operand)?;
        let looks = matches!(operand.term, Term::Call(..));
        if !looks || side.values.iter().any(|value| !matches!(value, Value::Entry(_))) {
            let help = "ask pte(A), orig(A), tlb(CPU, A), iotlb(DEV, A) or spte(A)";
            return Err(Diagnostic::new(
                Code::NoBits,
                operand.span,
                "this is no entry, and has no bits",
                help,
            ));
        }
        let all = |value: Value| match value {
            Value::Entry(entry) => features.iter().all(|feature| entry.has(*feature)),
            Value::Number(_) | Value::Nothing | Value::Space(_) => false,
        };
        Ok(self.allowed(&side, |value| all(value) == wanted))
    }

    fn compare(&mut self, left: &Operand, how: Comparison, right: &Operand) -> Result<Ways, Diagnostic> {
        let (one, other) = (self.side(left)?, self.side(right)?);
        let span = left.span.to(right.span);
        if let (Some(a), Some(b)) = (one.var, other.var) {
            let equality = matches!(how, Comparison::Equal | Comparison::Unequal);
            if equality && one.values == other.values {
                return Ok(vec![vec![if how == Comparison::Equal {
                    Guard::Same(a, b)
                } else {
                    Guard::Differ(a, b)
                }]]);
            }
            let mut ways = Vec::new();
            for (value, found) in one.values.iter().enumerate() {
                check_kinds(*found, &other.values, how, span)?;
                for mut way in self.allowed(&other, |second| holds(*found, how, second)) {
                    way.push(Guard::Is(a, number(value)));
                    ways.push(way);
                }
            }
            return Ok(ways);
        }
        let (Some(first), Some(second)) = (one.values.first().copied(), other.values.first().copied()) else {
            return Ok(Vec::new());
        };
        check_kinds(first, &other.values, how, span)?;
        if one.var.is_some() {
            return Ok(self.allowed(&one, |value| holds(value, how, second)));
        }
        Ok(self.allowed(&other, |value| holds(first, how, value)))
    }

    /// The guards under which the value of `side` is one of those that are allowed.
    fn allowed(&self, side: &Side, is_allowed: impl Fn(Value) -> bool) -> Ways {
        let count = side.values.len();
        let allowed: Vec<usize> = (0..count).filter(|index| is_allowed(side.values[*index])).collect();
        let Some(var) = side.var else {
            return if allowed.is_empty() { Vec::new() } else { vec![Vec::new()] };
        };
        if allowed.is_empty() {
            return Vec::new();
        }
        if allowed.len() == count {
            return vec![Vec::new()];
        }
        if allowed.len() + 1 == count && count > 2 {
            let missing = (0..count).find(|index| !allowed.contains(index));
            let missing = missing.expect("one value of them all is not allowed");
            return vec![vec![Guard::IsNot(var, number(missing))]];
        }
        if allowed.len() > 1 && allowed.iter().enumerate().all(|(place, index)| place == *index) {
            return vec![vec![Guard::Below(var, number(allowed.len()))]];
        }
        allowed.into_iter().map(|index| vec![Guard::Is(var, number(index))]).collect()
    }

    fn side(&mut self, operand: &Operand) -> Result<Side, Diagnostic> {
        let mut side = match &operand.term {
            Term::Number(value) => Side { var: None, values: vec![Value::Number(i64::from(*value))] },
            Term::Entry(written) => self.word(written)?,
            Term::Call(name, arguments) => self.call(name, arguments)?,
        };
        for value in &mut side.values {
            match value {
                Value::Number(number) => *number += operand.plus,
                Value::Entry(_) | Value::Space(_) | Value::Nothing if operand.plus != 0 => {
                    let help = "only counts, contents and variables are numbers";
                    return Err(Diagnostic::new(
                        Code::NotAddable,
                        operand.span,
                        "nothing can be added to an entry",
                        help,
                    ));
                }
                Value::Entry(_) | Value::Space(_) | Value::Nothing => {}
            }
        }
        Ok(side)
    }

    fn word(&mut self, written: &Written) -> Result<Side, Diagnostic> {
        if written.is_like_orig() {
            let help = "write `pte(A) == orig(A)`, or `pte_same A`";
            return Err(Diagnostic::new(Code::OrigOfNothing, written.span, "`orig` of which page?", help));
        }
        let Base::Name(name) = &written.base else {
            let entry = fresh(written, Height::Upper, self.names)?;
            let value = if entry == Entry::NONE { Value::Nothing } else { Value::Entry(entry.into()) };
            return Ok(Side { var: None, values: vec![value] });
        };
        if let (Some(agent), true) = (self.agent, self.handles.contains(&name.node)) {
            let var = self.state.var(&Key::Handle(agent, name.node.clone()));
            let kind = if written.migration { Kind::Migration } else { Kind::Present };
            let frames = self.state.frames().map(|frame| Pattern::of(kind, Some(frame), written.change));
            let none = Pattern::of(Kind::None, None, Change::default());
            let values = std::iter::once(none).chain(frames).map(Value::Entry).collect();
            return Ok(Side { var: Some(var), values });
        }
        match self.names.meaning(&name.node) {
            Some(Meaning::Frame(frame)) => {
                let entry = pattern(written, frame, self.names)?;
                Ok(Side { var: None, values: vec![Value::Entry(entry)] })
            }
            Some(Meaning::Mm(mm)) if written.word().is_some() => {
                Ok(Side { var: None, values: vec![Value::Space(Some(mm))] })
            }
            Some(Meaning::Variable(index)) if written.word().is_some() => {
                let var = self.state.var(&Key::User(index));
                let (_, least, most) = &self.state.domains.variables[index];
                Ok(Side {
                    var: Some(var),
                    values: (*least..=*most).map(|v| Value::Number(v.into())).collect(),
                })
            }
            Some(
                Meaning::Page(_)
                | Meaning::User(_)
                | Meaning::Mm(_)
                | Meaning::Pasid(_)
                | Meaning::Tag(_)
                | Meaning::Pmd(_)
                | Meaning::Variable(_),
            )
            | None => {
                let message = format!("there is no variable, handle or frame `{}`", name.node);
                let help = format!("declare it: `var {} = 0..1`", name.node);
                Err(Diagnostic::new(Code::Undeclared, name.span, message, help))
            }
        }
    }

    /// What the agent remembers of an entry, or of an upper entry.
    fn remembered(&self, look: &Name, place: &Name) -> Result<Key, Diagnostic> {
        let agent = self.agent.ok_or_else(|| nobody_looks(look))?;
        if let Some(Meaning::Pmd(pmd)) = self.names.meaning(&place.node) {
            return Ok(Key::PmdOrig(agent, pmd));
        }
        Ok(Key::Orig(agent, self.names.page(place)?))
    }

    fn call(&mut self, name: &Name, arguments: &[Name]) -> Result<Side, Diagnostic> {
        let key = match (name.node.as_str(), arguments) {
            ("pte", [page]) => Key::Pte(self.names.page(page)?),
            ("spte", [page]) => Key::Spte(self.names.page(page)?),
            ("in_progress", [page]) => Key::InProgress(self.names.page(page)?),
            (look @ ("tlb" | "iotlb" | "devtlb" | "vtlb"), [user, page]) => {
                let (id, page) = (self.names.user(user)?, self.names.page(page)?);
                self.hardware.cache(look, id, page).ok_or_else(|| no_cache(look, user))?
            }
            ("tlb", [user, page, tag]) => {
                let (id, page, under) =
                    (self.names.user(user)?, self.names.page(page)?, self.names.tag(tag)?);
                if !self.hardware.tags.of(id).contains(&under) {
                    return Err(not_under(user, tag));
                }
                Key::Tagged(id, page, under)
            }
            ("loaded_mm", [user]) => {
                let id = self.names.user(user)?;
                self.hardware.tags.context(id).ok_or_else(|| no_cache("loaded_mm", user))?;
                Key::LoadedMm(id)
            }
            ("content", [frame]) => Key::Content(self.names.filled(frame)?),
            ("refs", [frame]) => Key::Refs(self.names.frame(frame)?),
            ("pins", [frame]) => Key::Pins(self.names.frame(frame)?),
            ("mapcount", [frame]) => Key::Mapcount(self.names.frame(frame)?),
            ("stable", [frame]) => Key::Stable(self.names.frame(frame)?),
            ("requested", [page]) => Key::Requested(self.names.page(page)?),
            ("torn", [user]) => Key::Torn(self.names.user(user)?),
            ("gone", [user]) => Key::Gone(self.names.user(user)?),
            ("pasid", [pasid]) => Key::Pasid(self.names.pasid(Directory::Pasids, pasid)?),
            ("context", [entry]) => Key::Pasid(self.names.pasid(Directory::Contexts, entry)?),
            ("pasidc" | "contextc", [user]) => Key::PasidCache(self.names.user(user)?),
            ("pmd", [pmd]) => Key::Pmd(self.names.pmd(pmd)?),
            ("spmd", [pmd]) => Key::Spmd(self.names.pmd(pmd)?),
            ("pwc", [user, pmd]) => {
                let (id, pmd) = (self.names.user(user)?, self.names.pmd(pmd)?);
                let shadow = self.hardware.of(id) == Caches::VcpuTlb;
                let keeps = !shadow || self.hardware.uppers.is_shadowed(pmd);
                if !keeps || !self.hardware.of(id).keeps_upper() {
                    return Err(no_cache("pwc", user));
                }
                Key::Pwc(id, pmd)
            }
            ("orig", [place]) => self.remembered(name, place)?,
            _ => return Err(arguments_wrong(name)),
        };
        let var = self.state.var(&key);
        Ok(Side {
            var: Some(var),
            values: (0..self.state.size(var)).map(|index| self.value(&key, index)).collect(),
        })
    }

    /// What a value of a variable is to a comparison.
    fn value(&self, key: &Key, index: u32) -> Value {
        match key {
            Key::Content(_) => Value::Number(self.state.domains.contents[index as usize].into()),
            Key::Pasid(_) | Key::PasidHigh(_) | Key::PasidCache(_) => {
                Value::Space(index.checked_sub(1).map(|mm| MmId(mm as usize)))
            }
            Key::LoadedMm(_) => Value::Space(Some(MmId(index as usize))),
            Key::Refs(_)
            | Key::Mapcount(_)
            | Key::Pins(_)
            | Key::InProgress(_)
            | Key::Requested(_)
            | Key::Gone(_)
            | Key::Torn(_)
            | Key::Stable(_) => Value::Number(index.into()),
            Key::Pte(..)
            | Key::Pmd(..)
            | Key::Pwc(..)
            | Key::Tlb(..)
            | Key::Tagged(..)
            | Key::LoadedTag(..)
            | Key::InFlight(..)
            | Key::DeviceTlb(..)
            | Key::Completion(..)
            | Key::Dma(..)
            | Key::Spte(..)
            | Key::Spmd(..)
            | Key::Aborted(..)
            | Key::PasidRead(..)
            | Key::Slot(..)
            | Key::Lock(..)
            | Key::Shares(..)
            | Key::Store(..)
            | Key::Section(..)
            | Key::Awaits(..)
            | Key::User(..)
            | Key::Handle(..)
            | Key::Orig(..)
            | Key::PmdOrig(..)
            | Key::Ghost(..)
            | Key::Returned(..) => Value::Entry(self.state.domains.entries.get(index).into()),
        }
    }
}

/// A CPU never uses that tag.
fn not_under(user: &Name, tag: &Name) -> Diagnostic {
    let message = format!("`{user}` never uses the tag `{tag}`, and holds nothing under it");
    let help = format!("let an agent on it `switch` to it, or declare `cpu {user} in P tag {tag}`");
    Diagnostic::new(Code::NeverUnderTag, tag.span, message, help)
}

fn is_nothing(value: Value) -> bool {
    matches!(value, Value::Nothing | Value::Space(None))
        || matches!(value, Value::Entry(entry) if entry.is_none())
}

fn holds(left: Value, how: Comparison, right: Value) -> bool {
    match (left, right) {
        (Value::Nothing, other) | (other, Value::Nothing) => is_nothing(other) == (how == Comparison::Equal),
        (Value::Space(left), Value::Space(right)) => (left == right) == (how == Comparison::Equal),
        (Value::Number(left), Value::Number(right)) => how.holds(left, right),
        (Value::Entry(left), Value::Entry(right)) => left.same(right) == (how == Comparison::Equal),
        (Value::Space(_) | Value::Number(_) | Value::Entry(_), _) => false,
    }
}

fn check_kinds(left: Value, right: &[Value], how: Comparison, span: Span) -> Result<(), Diagnostic> {
    let fits = |right: &Value| match (left, *right) {
        (Value::Nothing, other) | (other, Value::Nothing) => !matches!(other, Value::Number(_)),
        (left, right) => std::mem::discriminant(&left) == std::mem::discriminant(&right),
    };
    if !right.iter().all(fits) {
        let number = std::iter::once(&left).chain(right).any(|value| matches!(value, Value::Number(_)));
        let help = "compare an entry or a handle with `none` or a frame, and a number with a number";
        let what = if number {
            "a number is compared with an entry"
        } else {
            "an entry is compared with an address space"
        };
        return Err(Diagnostic::new(Code::Incomparable, span, what, help));
    }
    let ordered = matches!(left, Value::Number(_));
    if !ordered && !matches!(how, Comparison::Equal | Comparison::Unequal) {
        return Err(Diagnostic::new(
            Code::Incomparable,
            span,
            format!("entries have no order for `{how}`"),
            "use `==` or `!=`",
        ));
    }
    Ok(())
}

fn too_wide(condition: &Condition) -> Diagnostic {
    let span = spans(condition);
    Diagnostic::new(
        Code::WideCondition,
        span,
        "this condition has too many cases",
        "split it into several `if` lines",
    )
}

fn spans(condition: &Condition) -> Span {
    match condition {
        Condition::And(left, right) | Condition::Or(left, right) => spans(left).to(spans(right)),
        Condition::Not(inner) => spans(inner),
        Condition::Compare(left, _, right) => left.span.to(right.span),
        Condition::Truth(operand) | Condition::Has(operand, _) => operand.span,
    }
}

fn arguments_wrong(name: &Name) -> Diagnostic {
    let forms: Vec<_> = LOOKS.iter().map(|(form, _)| *form).collect();
    let message = format!("`{}` cannot be looked at like this", name.node);
    Diagnostic::new(Code::UnknownLook, name.span, message, format!("there are {}", forms.join(", ")))
}

fn nobody_looks(name: &Name) -> Diagnostic {
    let message = format!("`{}` is what an agent remembers; a property has none", name.node);
    Diagnostic::new(Code::Remembered, name.span, message, "use pte(A), or a variable that the agent sets")
}
