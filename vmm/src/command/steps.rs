//! `afterimage steps`: the words of the scenario language, on the terminal.
//!
//! Invariant: everything printed is read out of the language's own tables.

use std::process::ExitCode;

use clap::Args;
use ordering::language::{OPTIONS, did_you_mean};
use steps::table::{LOOKS, OPERATIONS, Row, STEPS};

use super::columns::{Place, blocks};
use super::pager::{PagingArguments, say_long};
use super::voice::{UNUSABLE, complain, say};

/// What can be asked of the vocabulary.
#[derive(Debug, Args)]
pub(super) struct StepsArguments {
    /// A step, operation, look or option, or a kernel function: its entry only
    word: Option<String>,
    #[command(flatten)]
    paging: PagingArguments,
}

/// One line of the list, and what is said of it when it is asked for.
struct Word {
    form: String,
    who: &'static str,
    meaning: String,
    details: Vec<(&'static str, String)>,
}

/// Words of one kind.
struct Section {
    title: &'static str,
    words: Vec<Word>,
}

impl Word {
    fn new(form: &str, meaning: &str) -> Self {
        let details = vec![("means", meaning.to_owned())];
        Self { form: form.to_owned(), who: "", meaning: meaning.to_owned(), details }
    }

    /// Whether it begins with `word`, or stands for a kernel function of that name.
    fn is(&self, word: &str) -> bool {
        let named = self.names().any(|name| name == word);
        named || self.meaning.split([',', ' ', ':']).any(|part| part == word && part.contains('_'))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.form.split([' ', '(']).take(1)
    }

    fn entry(&self) -> String {
        let lines = self.details.iter().filter(|(_, text)| !text.is_empty());
        let lines: String = lines.map(|(what, text)| format!("\n  {what:8}{text}")).collect();
        format!("{}{lines}", self.form)
    }
}

fn sections() -> Vec<Section> {
    let step = |entry: &Row| Word {
        form: entry.form.to_owned(),
        who: entry.actor.name(),
        meaning: entry.kernel.to_owned(),
        details: vec![
            ("who", entry.actor.name().to_owned()),
            ("reads", entry.reads.to_owned()),
            ("writes", entry.writes.to_owned()),
            ("kernel", entry.kernel.to_owned()),
        ],
    };
    let option = |(name, values, meaning): &(&str, &[&str], &str)| {
        Word::new(&format!("{name} = {}", values.join("|")), meaning)
    };
    let plain = |(form, meaning): &(&str, &str)| Word::new(form, meaning);
    vec![
        Section { title: "STEPS, and the kernel's name", words: STEPS.iter().map(step).collect() },
        Section {
            title: "OPERATIONS, and what they stand for",
            words: OPERATIONS.iter().map(|entry| Word::new(entry.form, entry.steps)).collect(),
        },
        Section { title: "LOOKS, in conditions", words: LOOKS.iter().map(plain).collect() },
        Section {
            title: "OPTIONS, the first value if nothing is said",
            words: OPTIONS.iter().map(option).collect(),
        },
    ]
}

/// Prints all words, or the entries of one.
pub(super) fn run(arguments: &StepsArguments) -> ExitCode {
    let sections = sections();
    let Some(word) = &arguments.word else {
        let place = Place::here();
        let lists: Vec<_> = sections.iter().map(|section| list(section, place)).collect();
        let rest =
            "`afterimage steps WORD` says what a step reads and writes; `afterimage zoo` has examples.";
        say_long(&format!("{}\n{rest}", lists.join("\n")), arguments.paging.wanted());
        return ExitCode::SUCCESS;
    };
    let words: Vec<&Word> = sections.iter().flat_map(|section| &section.words).collect();
    let found: Vec<String> = words.iter().filter(|known| known.is(word)).map(|known| known.entry()).collect();
    if found.is_empty() {
        let known: Vec<&str> = words.iter().flat_map(|known| known.names()).collect();
        let help = did_you_mean(word, &known, "`afterimage steps` lists all of them");
        complain(format_args!("there is no step, operation, look or option `{word}`: {help}"));
        return UNUSABLE.into();
    }
    say(found.join("\n\n"));
    ExitCode::SUCCESS
}

fn list(section: &Section, place: Place) -> String {
    let has_who = section.words.iter().any(|word| !word.who.is_empty());
    let row = |word: &Word| {
        let who = has_who.then(|| word.who.to_owned());
        [Some(word.form.clone()), who, Some(word.meaning.clone())].into_iter().flatten().collect()
    };
    let rows: Vec<Vec<String>> = section.words.iter().map(row).collect();
    format!("{}\n{}\n", section.title, blocks(&rows, place).join("\n"))
}
