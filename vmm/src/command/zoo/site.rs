//! The catalogue as a site in a folder.
//!
//! Invariant: every scenario of the catalogue is on it, explored now; a folder that cannot be written is said before that.

use std::fs;
use std::io;
use std::path::Path;

use ordering::catalogue::{Entry, FILES};
use ordering::engine::{Counting, Options};
use picture::report::{Report, Text};
use picture::site::site;

use crate::command::origin::VERSION;
use crate::command::outcome::Checked;
use crate::command::pictures::Opened;
use crate::command::progress::Progress;

/// Why there is no site.
pub(super) enum NoSite {
    /// It cannot be written there, or not be explored.
    Unusable(String),
    /// The host lacks something.
    Host(String),
}

/// Explores everything and writes the site; what there is to say.
pub(super) fn write(folder: &Path, entries: &[Entry]) -> Result<String, NoSite> {
    let start = prepare(folder).map_err(NoSite::Unusable)?;
    let mut reports = Vec::new();
    for entry in entries {
        let progress = Progress::start(entry.lowered.name.clone());
        let report = explored(entry);
        drop(progress);
        reports.push(report.map_err(NoSite::Unusable)?);
    }
    let pages = write_pages(folder, start, &reports).map_err(NoSite::Host)?;
    let begin = folder.join(START);
    Ok(format!("{} scenarios on {pages} pages; begin with {}", reports.len(), begin.display()))
}

/// The page that people begin with.
const START: &str = "index.html";

/// Makes the folders, and sees whether the start page can be written.
fn prepare(folder: &Path) -> Result<Opened, String> {
    let make = |path: &Path| {
        let unwritable = |error: io::Error| format!("cannot write {}: {error}", path.display());
        fs::create_dir_all(path).map_err(unwritable)
    };
    make(folder)?;
    for file in FILES {
        Path::new(file.path).parent().map_or(Ok(()), |parent| make(&folder.join(parent)))?;
        Opened::new(&folder.join(file.path).with_extension("html"))?;
    }
    Opened::new(&folder.join(START))
}

fn explored(entry: &Entry) -> Result<Report, String> {
    let options = Options { interleavings: Counting::On, ..Options::default() };
    let (file, lowered) = (entry.file, entry.lowered.clone());
    let checked = Checked::explore(file.path, &entry.scenario, lowered, &options, false)
        .map_err(|error| error.render(file.path, file.text))?;
    Ok(checked.drawn(&entry.scenario, &options))
}

/// Writes all pages; how many there are.
fn write_pages(folder: &Path, start: Opened, reports: &[Report]) -> Result<usize, String> {
    let texts = FILES.iter().map(|file| Text { file: file.path.to_owned(), text: file.text.to_owned() });
    let pages = site(&texts.collect::<Vec<_>>(), reports, &format!("Written by afterimage {VERSION}."));
    let mut start = Some(start);
    for page in &pages {
        let opened = match start.take_if(|_| page.path == START) {
            Some(start) => start,
            None => Opened::new(&folder.join(&page.path))?,
        };
        opened.write(&page.text)?;
    }
    Ok(pages.len())
}
