//! A page of Markdown as files to write and commands to type.
//!
//! Invariant: a fenced block is a console, a file, or one of those that are shown and not typed; any other is a fault.

/// A page.
#[derive(Default)]
pub(super) struct Page {
    pub(super) blocks: Vec<Block>,
    /// What cannot be read.
    pub(super) faults: Vec<String>,
}

/// A fenced block.
pub(super) enum Block {
    /// `text NAME`, or `text +NAME`, which goes behind what the file has.
    File { name: String, is_added: bool, text: String },
    /// `console`, or `console kvm`.
    Console { needs_kvm: bool, commands: Vec<Command> },
}

/// A line behind `$`, and the lines below it.
pub(super) struct Command {
    /// From 1.
    pub(super) line: usize,
    pub(super) typed: String,
    pub(super) expected: Vec<String>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            let Some(info) = line.strip_prefix("```") else { continue };
            let inside: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
            match info {
                "console" | "console kvm" => page.console(info == "console kvm", &inside),
                "sh" => {}
                _ => match info.strip_prefix("text ") {
                    Some(name) => page.blocks.push(file(name, &inside)),
                    None => page.faults.push(format!("line {number}: what is a block of `{info}`?")),
                },
            }
        }
        page
    }

    fn console(&mut self, needs_kvm: bool, lines: &[(usize, &str)]) {
        let mut commands: Vec<Command> = Vec::new();
        for (line, text) in lines.iter().copied() {
            match (text.strip_prefix("$ "), commands.last_mut()) {
                (Some(typed), _) => {
                    commands.push(Command { line, typed: typed.to_owned(), expected: Vec::new() });
                }
                (None, Some(command)) => command.expected.push(text.to_owned()),
                (None, None) => self.faults.push(format!("line {line}: `{text}` comes before any command")),
            }
        }
        self.blocks.push(Block::Console { needs_kvm, commands });
    }
}

fn file(name: &str, lines: &[(usize, &str)]) -> Block {
    let text = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    let (is_added, name) = name.strip_prefix('+').map_or((false, name), |name| (true, name));
    Block::File { name: name.to_owned(), is_added, text }
}
