//! The operations, each what threads or processes do to the mapping while the device works on it.
//! Invariant: an operation that cannot be carried out is an error, never a right one.

mod copies;
mod ends;
mod frames;
mod places;
mod rights;
mod zeroes;

use std::io;

use crate::tally::Tally;

/// How much is done.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// Pages that are changed by one call.
    pub(crate) chunk: usize,
}

pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Scale, &Tally) -> io::Result<()>,
}

const fn operation(name: &'static str, run: fn(Scale, &Tally) -> io::Result<()>) -> Operation {
    Operation { name, run }
}

pub(crate) const OPERATIONS: [Operation; 19] = [
    operation("untouched", zeroes::untouched),
    operation("dontneed", zeroes::dontneed),
    operation("free", zeroes::free),
    operation("fork", copies::fork),
    operation("ksm", copies::ksm),
    operation("mprotect", rights::mprotect),
    operation("userfaultfd", rights::userfaultfd),
    operation("soft-dirty", rights::soft_dirty),
    operation("mremap", places::mremap),
    operation("mremap-tables", places::mremap_tables),
    operation("mremap-huge", places::mremap_huge),
    operation("munmap", places::munmap),
    operation("munmap-nested", places::munmap_nested),
    operation("collapse", frames::collapse),
    operation("compact", frames::compact),
    operation("pageout", frames::pageout),
    operation("exit", ends::exit),
    operation("rebind", ends::rebind),
    operation("forgotten-unbind", ends::forgotten_unbind),
];
