//! References, mappings, pins, and what frames hold.
//!
//! Invariant: a frame or a page-table page is free when it has no reference. Handles that are empty make a step do
//! nothing. Source: docs/language.md, "Steps".

use super::command::{Command, Touch};
use super::{Mistake, Promela};
use crate::oracle::entry::{Target, Things};
use crate::oracle::step::{Count, Held};

/// What a step is about, as expressions.
pub(super) struct Object {
    number: String,
    /// Whether there is any.
    some: String,
    page: Option<String>,
}

impl Promela<'_> {
    pub(super) fn object(&self, held: Held) -> Object {
        match held {
            Held::Frame(frame) => {
                Object { number: Things::frame(frame).to_string(), some: "true".to_owned(), page: None }
            }
            Held::Table(table) => {
                let number = self.things().number(Target::Table(table)).expect("a table has a number");
                Object { number: number.to_string(), some: "true".to_owned(), page: None }
            }
            Held::Handle(handle) => Object {
                number: format!("h[{handle}]"),
                some: format!("(h[{handle}] != 0)"),
                page: Some(format!("hp[{handle}]")),
            },
        }
    }

    /// Whether using what is free is noticed.
    pub(super) fn use_after_free(&self, command: Command, number: &str, some: &str) -> Command {
        match self.option("use_after_free", "off") {
            true => command,
            false => command.bad(&format!("{some} && refs[{number}] == 0")),
        }
    }

    pub(super) fn count(&self, command: Command, count: Count, held: Held) -> Command {
        let Object { number, some, .. } = self.object(held);
        let add = |array: &str, sign: &str| {
            // What is free is not counted.
            let counts = format!("({some} && refs[{number}] > 0)");
            format!("{array}[{number}] = ({counts} -> {array}[{number}] {sign} 1 : {array}[{number}])")
        };
        let keeps = self.mistake == Mistake::PutKeeps;
        let put = if keeps { "skip".to_owned() } else { drop_one("refs", &number, &some) };
        let free = |command| self.use_after_free(command, &number, &some);
        // What is free breaks one property, and not the other one, too.
        let less = |command, array: &str| {
            let inside = format!("!{some} || {array}[{number}] > 0 || refs[{number}] == 0");
            self.in_range(free(command), &inside)
        };
        match count {
            Count::Alloc => command
                .when(&format!("refs[{number}] == 0"))
                .effect(&format!("refs[{number}] = 1"))
                .effect(&format!("stable[{number}] = 0")),
            Count::Get => free(command).effect(&add("refs", "+")),
            Count::Put => free(command).effect(&put),
            Count::Pin => free(command).effect(&add("refs", "+")).effect(&add("pins", "+")),
            Count::Unpin => less(command, "pins").effect(&drop_one("pins", &number, &some)).effect(&put),
            Count::Map => free(command).effect(&add("refs", "+")).effect(&add("mapc", "+")),
            Count::Unmap => less(command, "mapc").effect(&drop_one("mapc", &number, &some)).effect(&put),
            Count::Free => free(command).effect(&format!("refs[{number}] = 0")),
        }
    }

    pub(super) fn write(&self, command: Command, held: Held, value: u8) -> Command {
        let Object { number, some, page } = self.object(held);
        self.use_after_free(command, &number, &some)
            .touch(Touch {
                is_write: true,
                page,
                frame: number.clone(),
                value: value.to_string(),
                happens: some.clone(),
            })
            .effect(&format!("content[{number}] = ({some} -> {value} : content[{number}])"))
    }

    pub(super) fn read(&self, command: Command, held: Held) -> Command {
        let Object { number, some, page } = self.object(held);
        let value = format!("content[{number}]");
        self.use_after_free(command, &number, &some).touch(Touch {
            is_write: false,
            page,
            frame: number,
            value,
            happens: some,
        })
    }

    pub(super) fn mark_stable(&self, command: Command, frame: usize) -> Command {
        let number = Things::frame(frame).to_string();
        self.use_after_free(command, &number, "true").effect(&format!("stable[{number}] = 1"))
    }

    pub(super) fn copy(&self, command: Command, from: usize, to: usize) -> Command {
        let (from, to) = (Things::frame(from).to_string(), Things::frame(to).to_string());
        let command = self.use_after_free(command, &from, "true");
        let touch = |is_write, frame: &str| Touch {
            is_write,
            page: None,
            frame: frame.to_owned(),
            value: format!("content[{from}]"),
            happens: "true".to_owned(),
        };
        self.use_after_free(command, &to, "true")
            .touch(touch(false, &from))
            .touch(touch(true, &to))
            .effect(&format!("content[{to}] = content[{from}]"))
    }
}

/// One less, if there is one; what is free is not counted. References come last.
pub(super) fn drop_one(array: &str, number: &str, some: &str) -> String {
    let counts = format!("({some} && refs[{number}] > 0 && {array}[{number}] > 0)");
    format!("{array}[{number}] = ({counts} -> {array}[{number}] - 1 : {array}[{number}])")
}
