//! Whether what is printed has colours: `--color`, and what the environment says.
//!
//! Invariant: `--color always` and `never` decide; otherwise nothing but a terminal is given colours, unless
//! CLICOLOR_FORCE asks for them, and NO_COLOR forbids both. Source: no-color.org, bixense.com/clicolors.

use std::env;
use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use ordering::language::{Diagnostic, render_all, render_all_coloured};

/// What the arguments say; nothing: `auto`.
static CHOSEN: OnceLock<Colour> = OnceLock::new();

/// When colours are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Colour {
    /// On terminals, unless NO_COLOR is set; elsewhere too if CLICOLOR_FORCE is
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The argument, of every command.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ColourArguments {
    /// When colours are printed
    #[arg(
        long = "color",
        value_name = "WHEN",
        value_enum,
        default_value_t,
        global = true,
        hide_possible_values = false
    )]
    colour: Colour,
}

/// What the environment says of colours.
struct Environment {
    no_color: bool,
    /// CLICOLOR=0.
    is_off: bool,
    is_forced: bool,
    is_dumb: bool,
}

impl ColourArguments {
    /// Keeps what was chosen for the whole program.
    pub(super) fn choose(self) {
        let _first = CHOSEN.set(self.colour);
    }
}

impl Environment {
    fn read() -> Self {
        let says = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            no_color: says("NO_COLOR").is_some(),
            is_off: says("CLICOLOR").is_some_and(|value| value == "0"),
            is_forced: says("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            is_dumb: env::var_os("TERM").is_none_or(|name| name == "dumb"),
        }
    }
}

impl Colour {
    fn holds(self, is_terminal: bool, environment: &Environment) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if environment.no_color => false,
            Self::Auto if environment.is_forced => true,
            Self::Auto => is_terminal && !environment.is_dumb && !environment.is_off,
        }
    }
}

fn chosen() -> Colour {
    CHOSEN.get().copied().unwrap_or_default()
}

/// Whether standard output has colours.
pub(super) fn on_output() -> bool {
    chosen().holds(stdout().is_terminal(), &Environment::read())
}

/// What is wrong with a file, as standard error shows it.
pub(super) fn errors(wrong: &[Diagnostic], file: &str, source: &str) -> String {
    match chosen().holds(stderr().is_terminal(), &Environment::read()) {
        true => render_all_coloured(wrong, file, source),
        false => render_all(wrong, file, source),
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Environment};

    const PLAIN: Environment =
        Environment { no_color: false, is_off: false, is_forced: false, is_dumb: false };

    #[test]
    fn a_choice_decides_and_otherwise_the_environment_before_the_terminal() {
        let no_color = Environment { no_color: true, is_forced: true, ..PLAIN };
        let forced = Environment { is_forced: true, is_off: true, is_dumb: true, ..PLAIN };
        for (environment, on_terminal, elsewhere) in [
            (&PLAIN, true, false),
            (&no_color, false, false),
            (&forced, true, true),
            (&Environment { is_dumb: true, ..PLAIN }, false, false),
            (&Environment { is_off: true, ..PLAIN }, false, false),
        ] {
            assert_eq!(Colour::Auto.holds(true, environment), on_terminal);
            assert_eq!(Colour::Auto.holds(false, environment), elsewhere);
            assert!(Colour::Always.holds(false, environment) && !Colour::Never.holds(true, environment));
        }
    }
}
