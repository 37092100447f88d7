//! Conditions, assignments and rows as they are written.
//!
//! Invariant: what is printed is read again as the same condition.

use std::fmt;

use steps::table::SAME;

use super::syntax::{Assignment, Comparison, Condition, Lock, Operand, Rows, Term};

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(left, right) => write!(f, "({left} && {right})"),
            Self::Or(left, right) => write!(f, "({left} || {right})"),
            Self::Not(inner) => write!(f, "!{inner}"),
            Self::Compare(left, how, right) => write!(f, "{left} {how} {right}"),
            Self::Truth(operand) => operand.fmt(f),
            Self::Has(operand, features) => {
                write!(f, "{operand} has")?;
                features.iter().try_for_each(|feature| write!(f, " {feature}"))
            }
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.argument {
            Some(argument) => write!(f, "{}({argument})", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set => "=",
            Self::Add => "+=",
            Self::Subtract => "-=",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Number(number) => number.fmt(f)?,
            Term::Entry(entry) => entry.fmt(f)?,
            Term::Call(name, arguments) => {
                let names: Vec<_> = arguments.iter().map(|argument| argument.node.as_str()).collect();
                if SAME.contains(&name.node.as_str()) {
                    write!(f, "{} {}", name.node, names.join(", "))?;
                } else {
                    write!(f, "{}({})", name.node, names.join(", "))?;
                }
            }
        }
        match self.plus {
            0 => Ok(()),
            less if less < 0 => write!(f, " - {}", -less),
            more => write!(f, " + {more}"),
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "row {first}"),
            (first, last) => write!(f, "rows {first} to {last}"),
        }
    }
}

impl Comparison {
    /// The one that holds where this one does not.
    #[must_use]
    pub(crate) const fn negated(self) -> Self {
        match self {
            Self::Equal => Self::Unequal,
            Self::Unequal => Self::Equal,
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::Greater,
            Self::Greater => Self::AtMost,
            Self::AtLeast => Self::Less,
        }
    }

    /// Whether it holds between two numbers.
    #[must_use]
    pub const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }
}
