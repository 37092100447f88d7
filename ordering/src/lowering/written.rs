//! What a written entry comes to, once its names are resolved.
//!
//! Invariant: an entry that has no room for a bit that is said of it is refused, and so is one that maps a frame and does
//! not say whether it may be stored to.

use steps::entry::{Bit, Kind};

use crate::language::entry::{Base, Written};
use crate::language::syntax::FrameKind;
use crate::language::{Code, Diagnostic};

use super::entry::{Entry, Pattern};
use super::names::{FrameId, Names};
use super::upper::{Height, fits};

/// What `written` is without looking at what an agent remembers or holds.
pub(super) fn fresh(written: &Written, height: Height, names: &Names) -> Result<Entry, Diagnostic> {
    if written.is_like_orig() {
        let help = "name a frame, or write it in a program";
        return Err(Diagnostic::new(
            Code::OrigOfNothing,
            written.span,
            "`orig` is what an agent remembers; nobody does here",
            help,
        ));
    }
    fits(written, height, names)?;
    let entry = match &written.base {
        Base::Name(name) => of_frame(written, names.frame(name)?, names)?,
        Base::Marker if written.change.clear.has(Bit::UffdWp) => {
            let message = "a marker without `uffd_wp` says nothing";
            return Err(Diagnostic::new(Code::EmptyMarker, written.span, message, "write `none`"));
        }
        Base::Marker => Entry::MARKER,
        Base::None | Base::Orig => Entry::NONE,
    };
    fitting(entry.kind, written)?;
    Ok(entry)
}

/// The entry of that frame with the written bits, which must say what it allows.
pub(super) fn of_frame(written: &Written, frame: FrameId, names: &Names) -> Result<Entry, Diagnostic> {
    let kind = kind(written, frame, names)?;
    if !matches!(kind, Kind::Swap | Kind::Table) && !written.change.said().has(Bit::Write) {
        let help = format!("write `{written} ro` or `{written} rw`");
        return Err(Diagnostic::new(
            Code::NoPermission,
            written.span,
            "this entry does not say what it allows",
            help,
        ));
    }
    fitting(kind, written)?;
    Ok(Entry { kind, frame: Some(frame), bits: written.change.set })
}

/// What the remembered entry `orig` becomes.
pub(super) fn like(written: &Written, orig: Entry) -> Entry {
    let entry = if written.migration { orig.migrating() } else { orig };
    entry.changed(written.change)
}

/// The entry of that frame with the bits of `orig`, changed.
pub(super) fn of_frame_like(
    written: &Written,
    frame: FrameId,
    orig: Entry,
    names: &Names,
) -> Result<Entry, Diagnostic> {
    let kind = kind(written, frame, names)?;
    fitting(kind, written)?;
    Ok(Entry { kind, frame: Some(frame), bits: written.change.of(orig.bits) })
}

/// `written` as something to compare with; `frame` is what its name stands for.
pub(super) fn pattern(written: &Written, frame: FrameId, names: &Names) -> Result<Pattern, Diagnostic> {
    let kind = kind(written, frame, names)?;
    fitting(kind, written)?;
    Ok(Pattern::of(kind, Some(frame), written.change))
}

fn kind(written: &Written, frame: FrameId, names: &Names) -> Result<Kind, Diagnostic> {
    let what = match (names.frames[frame.0], written.migration) {
        (FrameKind::Frame, false) => return Ok(Kind::Present),
        (FrameKind::Frame, true) => return Ok(Kind::Migration),
        (FrameKind::Slot, false) => return Ok(Kind::Swap),
        (FrameKind::Table, false) => return Ok(Kind::Table),
        (FrameKind::Slot, true) => "swap slot",
        (FrameKind::Table, true) => "page-table page",
    };
    let help = "name the frame that is migrated";
    Err(Diagnostic::new(Code::Unmigratable, written.span, format!("a {what} cannot be migrated"), help))
}

/// An entry must have room for the bits that are said of it.
fn fitting(kind: Kind, written: &Written) -> Result<(), Diagnostic> {
    let Some(bit) = written.change.said().without(kind.bits()).iter().next() else { return Ok(()) };
    let room: Vec<_> = kind.bits().iter().map(Bit::name).collect();
    let help = match room.is_empty() {
        true => "leave the bits out".to_owned(),
        false => format!("it can have {}", room.join(", ")),
    };
    let message = format!("a `{}` entry has no bit `{}`", kind.name(), bit.name());
    Err(Diagnostic::new(Code::NoSuchBit, written.span, message, help))
}
