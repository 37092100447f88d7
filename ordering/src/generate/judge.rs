//! Writes an order as a scenario, and decides it.
//!
//! Invariant: what is judged is the text that is saved. A user that a property is never at stake for makes a proof vacuous:
//! whoever is kept away from the page for ever reads nothing old.

use crate::answer::Answer;
use crate::engine::{self, Options, Outcome, Verdict as Explored};
use crate::lowering::{Lowered, load};

use super::operation::{Operation, User};
use super::program::Program;
use super::verdict::{Judged, Kind, Verdict};

/// Judges orders of one operation.
pub(super) struct Judge<'a> {
    pub(super) operation: &'a Operation,
    pub(super) program: &'a Program,
    pub(super) options: &'a Options<'a>,
}

impl Judge<'_> {
    /// What is true of `order` for these users, all at once.
    pub(super) fn order(&self, order: &[usize], users: &[User]) -> Judged {
        let properties = self.properties(users);
        let (lowered, outcome) = self.explored(&self.body(order, users, &properties));
        let answer = Answer::new(&lowered, &outcome);
        let states = outcome.statistics.states;
        let verdict = match &outcome.verdict {
            Explored::BoundHit { .. } => Verdict::BoundHit,
            Explored::Violated { property, trace, .. } => Verdict::Broken {
                property: lowered.model.properties[usize::from(property.0)].text.clone(),
                rows: trace.steps.len(),
            },
            Explored::Proved => self.proved(order, users, &answer),
        };
        let is_own = |agent: &str| agent == "mm";
        let own = answer.untaken.iter().filter(|untaken| is_own(&untaken.agent));
        Judged { verdict, states, unreached: own.map(|untaken| untaken.statement.row).collect() }
    }

    /// A proof that says something.
    fn proved(&self, order: &[usize], users: &[User], answer: &Answer) -> Verdict {
        if let Some(empty) = answer.empty.first() {
            return Verdict::Vacuous(empty.why.clone());
        }
        for user in users {
            let party = self.operation.party(*user);
            let probe = [party.reaches.to_owned()];
            let (_, outcome) = self.explored(&self.body(order, users, &probe));
            match outcome.verdict {
                // Nothing else breaks: that was proved.
                Explored::Violated { .. } => {}
                Explored::Proved => {
                    let what = party.reaches.trim_start_matches("never ");
                    return Verdict::Vacuous(format!("in no run {what}"));
                }
                Explored::BoundHit { .. } => return Verdict::BoundHit,
            }
        }
        Verdict::Safe
    }

    /// All properties, each once.
    fn properties(&self, users: &[User]) -> Vec<String> {
        let own = users.iter().flat_map(|user| self.operation.party(*user).never);
        own.chain(self.operation.never).map(|text| (*text).to_owned()).collect()
    }

    fn explored(&self, body: &str) -> (Lowered, Outcome) {
        let mut loaded = load(&format!("scenario s\n{body}"))
            .unwrap_or_else(|wrong| panic!("an order is a scenario that can be read: {wrong:?}\n{body}"));
        let (_, lowered) = loaded.pop().expect("there is one scenario");
        let packed = engine::compile(&lowered.model).expect("an order's scenario is small");
        let outcome = engine::explore(&packed, self.options);
        (lowered, outcome)
    }

    /// What a scenario says behind its name.
    fn body(&self, order: &[usize], users: &[User], properties: &[String]) -> String {
        let mut text = self.operation.world.to_owned();
        let parties: Vec<_> = users.iter().map(|user| self.operation.party(*user)).collect();
        for party in &parties {
            text.push_str(&format!("{}\n", party.declares));
        }
        text.push_str("\nagent mm\n");
        for line in self.program.lines(order) {
            // A label stands at any indentation.
            text.push_str(&format!("  {line}\n"));
        }
        text.push_str(self.operation.others);
        for party in &parties {
            text.push_str(party.program);
        }
        text.push('\n');
        for property in properties {
            text.push_str(&format!("{property}\n"));
        }
        text
    }

    /// A scenario with its name, and what it is expected to be; none if it is not decided, or says nothing.
    pub(super) fn scenario(
        &self,
        name: &str,
        about: &str,
        order: &[usize],
        users: &[User],
        judged: &Judged,
    ) -> Option<String> {
        let expect = match &judged.verdict {
            Verdict::Safe => "proved".to_owned(),
            Verdict::Broken { property, .. } => format!("violation of {property}"),
            Verdict::Vacuous(_) | Verdict::BoundHit => return None,
        };
        let unreached: String = match judged.verdict.kind() {
            Kind::Safe => judged
                .unreached
                .iter()
                .map(|row| format!("unreached mm.{row} \"a way out that nobody makes it take\"\n"))
                .collect(),
            Kind::Broken | Kind::Vacuous | Kind::BoundHit => String::new(),
        };
        let body = self.body(order, users, &self.properties(users));
        let source = self.operation.source;
        Some(format!(
            "scenario {name}\nabout   \"{about}\"\nsource  \"{source}\"\n{body}{unreached}expect  {expect}\n"
        ))
    }
}
