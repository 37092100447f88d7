//! Files with pictures of runs: `--html`, `--svg`, `--dot`.
//!
//! Invariant: a file that cannot be written is said before anything runs, and what stood in it stands there until there is
//! something to be written: a run that is ended leaves no empty file. A scenario file is never written over: whoever opens
//! files for pictures has held them [apart](super::apart) from what is read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use picture::chart::Chart;
use picture::page::Page;
use picture::perfetto::Times;
use picture::report::{Report, Text};
use picture::{dot, svg};
use rustix::fs::{OFlags, fcntl_setfl};

use super::apart::{Named, apart};
use super::files::Source;
use super::origin::made;
use super::trace::{Lack, RunTrace};
use crate::remedy::remedy;

/// Where runs are to be drawn.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub(super) struct PictureArguments {
    /// Write a page that shows the runs: pictures, tables of their rows, the files; it needs no network
    #[arg(long, value_name = "FILE", value_parser = no_scenario)]
    html: Option<PathBuf>,
    /// Write the runs as one picture
    #[arg(long, value_name = "FILE", value_parser = no_scenario)]
    svg: Option<PathBuf>,
    /// Write the runs as graphs for Graphviz
    #[arg(long, value_name = "FILE", value_parser = no_scenario)]
    dot: Option<PathBuf>,
}

/// A file that is written: a slip of the shell must not cost a scenario.
pub(super) fn no_scenario(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    match path.extension() {
        Some(extension) if extension == "scn" => {
            Err("that is a scenario file; name another one to write".to_owned())
        }
        Some(_) | None if name.is_empty() => Err("name a file to write".to_owned()),
        Some(_) | None => Ok(path),
    }
}

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Html,
    Svg,
    Dot,
}

/// The files of one call, and what is to be drawn in them.
#[derive(Default)]
pub(super) struct Pictures {
    files: Vec<(Format, Opened)>,
    reports: Vec<Report>,
    texts: Vec<Text>,
    chart: Option<Chart>,
    /// Where runs are told as they come.
    trace: Option<RunTrace>,
}

impl PictureArguments {
    /// Whether any is asked for.
    pub(super) fn are_wanted(&self) -> bool {
        [&self.html, &self.svg, &self.dot].into_iter().any(Option::is_some)
    }

    /// The files, which can be written.
    ///
    /// # Errors
    /// Which one cannot, and why.
    pub(super) fn open(&self) -> Result<Pictures, String> {
        apart(&self.written(), [])?;
        let files = self.asked().map(|(format, path)| Ok((format, Opened::new(path)?)));
        Ok(Pictures { files: files.collect::<Result<_, String>>()?, ..Pictures::default() })
    }

    /// The files of a run that reaches no path any more when it ends: they are made now, and empty.
    ///
    /// # Errors
    /// Which one cannot be written, and why.
    pub(super) fn open_now(&self) -> Result<Vec<Drawing>, String> {
        let drawing = |(format, path): (Format, &Path)| {
            let name = path.display().to_string();
            let file = options().create(true).truncate(true).open(path);
            Ok(Drawing { format, file: file.map_err(|error| unwritable(path, &error))?, name })
        };
        apart(&self.written(), [])?;
        let _asked = made();
        self.asked().map(drawing).collect()
    }

    /// What is to be written.
    pub(super) fn written(&self) -> Vec<Named<'_>> {
        self.asked().map(|(format, path)| (format.option(), path)).collect()
    }

    fn asked(&self) -> impl Iterator<Item = (Format, &Path)> {
        let all = [(Format::Html, &self.html), (Format::Svg, &self.svg), (Format::Dot, &self.dot)];
        all.into_iter().filter_map(|(format, path)| Some((format, path.as_deref()?)))
    }
}

/// A file that waits for its picture.
#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) format: Format,
    pub(super) name: String,
    pub(super) file: File,
}

impl Format {
    const fn option(self) -> &'static str {
        match self {
            Self::Html => "--html",
            Self::Svg => "--svg",
            Self::Dot => "--dot",
        }
    }

    /// What a file of it says.
    pub(super) fn of(self, title: &str, reports: &[Report], texts: &[Text], chart: Option<&Chart>) -> String {
        match self {
            Self::Html => Page { title, reports, texts, chart, home: None, made: made() }.html(),
            Self::Svg => svg::svg(reports),
            Self::Dot => dot::dot(reports),
        }
    }
}

impl Pictures {
    /// The same, and a trace of the runs beside them.
    pub(super) fn with_trace(self, trace: Option<RunTrace>) -> Self {
        Self { trace, ..self }
    }

    /// Whether anything is to be drawn.
    pub(super) fn are_wanted(&self) -> bool {
        !self.files.is_empty() || self.trace.is_some()
    }

    /// Whether files are written at the end, and not only a trace.
    fn are_drawn(&self) -> bool {
        !self.files.is_empty()
    }

    /// The last words of the trace; what it lacks.
    pub(super) fn conclude_trace(&mut self) -> Vec<Lack> {
        self.trace.take().map(RunTrace::conclude).unwrap_or_default()
    }

    /// Draws one more; `text` is what stands in its file.
    pub(super) fn add(&mut self, source: &Source, report: Report) {
        self.add_of(&source.name, &source.text, report);
    }

    /// The same, of a file with that name.
    pub(super) fn add_of(&mut self, file: &str, text: &str, report: Report) {
        if let (Some(trace), Some(run)) = (&mut self.trace, &report.run) {
            trace.add(&format!("{}: {}", report.name, report.title), run, Times::Logical);
        }
        if !self.are_drawn() {
            return;
        }
        if !self.texts.iter().any(|known| known.file == file) {
            self.texts.push(Text { file: file.to_owned(), text: text.to_owned() });
        }
        self.reports.push(report);
    }

    /// Puts counts above the scenarios of a page.
    pub(super) fn chart(&mut self, chart: Chart) {
        self.chart = Some(chart);
    }

    /// Writes all files.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn write(self, title: &str) -> Result<(), String> {
        let Self { files, reports, texts, chart, trace: _ } = self;
        let files = Self { files, ..Self::default() };
        files.write_each(|format| format.of(title, &reports, &texts, chart.as_ref()))
    }

    /// Writes all files, each with what `draw` makes of its format.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn write_each(self, draw: impl Fn(Format) -> String) -> Result<(), String> {
        self.files.into_iter().try_for_each(|(format, file)| file.write(&draw(format)))
    }
}

/// A file that can be written, and has not been.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    /// What was there before; a file that was not is made when there is something to be written.
    found: Option<File>,
}

impl Opened {
    /// Sees whether a file can be written, and leaves everything as it is.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn new(path: &Path) -> Result<Self, String> {
        let made = options().create_new(true).open(path);
        let found = match made {
            // Whoever ends this program meanwhile must not find an empty file.
            Ok(_) => fs::remove_file(path).map(|()| None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options().open(path).map(Some),
            Err(error) => Err(error),
        };
        let found = found.map_err(|error| unwritable(path, &error))?;
        // What is written into a pipe waits for its reader.
        found.iter().try_for_each(|file| {
            fcntl_setfl(file, OFlags::empty()).map_err(|error| unwritable(path, &error.into()))
        })?;
        Ok(Self { path: path.to_owned(), found })
    }

    /// Puts `text` in the place of what was there.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn write(self, text: &str) -> Result<(), String> {
        let Self { path, found } = self;
        let file = found.map_or_else(|| options().create(true).truncate(true).open(&path), Ok);
        let written = file.and_then(|mut file| {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file.write_all(text.as_bytes())
        });
        written.map_err(|error| {
            let remedy = remedy(&error, "make room, or name another file");
            format!("{} cannot be written: {error}; {remedy}", path.display())
        })
    }
}

/// Why a file cannot be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENXIO) => {
            format!("cannot write {}: nobody reads the pipe; start its reader first", path.display())
        }
        Some(_) | None => format!("cannot write {}: {error}", path.display()),
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    // Whoever opens a pipe that nobody reads would wait for a reader.
    options.write(true).custom_flags(libc::O_NONBLOCK);
    options
}
