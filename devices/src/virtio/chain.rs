//! A chain of descriptors, whole: what the device reads, then what it writes.
//!
//! Invariant: a chain has at most as many buffers as its ring has entries, so what is kept of it is bounded by what the
//! device offered. Whether its buffers are there is found when they are reached. It is walked here and not by rust-vmm's
//! iterator, which ends a chain without a word, whether it is over or cannot go on. Source: VIRTIO 1.2, 2.7.4, 2.7.5.

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};

use super::broken::Broken;
use super::view::View;

/// Bytes of a descriptor.
const DESCRIPTOR_BYTES: u32 = 16;

/// A chain that the driver made available.
#[derive(Clone, Debug)]
pub struct Chain {
    head: u16,
    /// What the device may read, and has not yet.
    pub readable: Buffers,
    /// What it may write, and has not yet.
    pub writable: Buffers,
}

/// Buffers one behind the other, as one run of bytes.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Address and length of each, in reverse.
    pieces: Vec<(u64, u32)>,
    left: u32,
    done: u32,
}

/// A table of descriptors.
#[derive(Clone, Copy)]
struct Table {
    at: u64,
    entries: u32,
}

impl Chain {
    /// Reads the descriptors of the chain that begins with `head`, in the table of `size` descriptors at `table`.
    ///
    /// # Errors
    /// [`Broken`] if it is none.
    pub fn collect(view: &View, table: u64, size: u16, head: u16) -> Result<Self, Broken> {
        if head >= size {
            return Err(Broken::NoSuchHead { head, size });
        }
        let mut found = Self { head, readable: Buffers::default(), writable: Buffers::default() };
        let mut table = Table { at: table, entries: size.into() };
        let mut index = head;
        let mut is_indirect = false;
        for _ in 0..size {
            let mut descriptor = table.read(view, index)?;
            if descriptor.refers_to_indirect_table() {
                if is_indirect {
                    return Err(Broken::BadTable);
                }
                (table, is_indirect) = (Table::of(&descriptor)?, true);
                descriptor = table.read(view, 0)?;
                if descriptor.refers_to_indirect_table() {
                    return Err(Broken::BadTable);
                }
            }
            found.push(&descriptor)?;
            if !descriptor.has_next() {
                return found.finish();
            }
            index = descriptor.next();
        }
        Err(Broken::TooManyDescriptors { most: size })
    }

    /// The descriptor that it begins with.
    #[must_use]
    pub const fn head(&self) -> u16 {
        self.head
    }

    fn push(&mut self, descriptor: &Descriptor) -> Result<(), Broken> {
        if descriptor.len() == 0 {
            return Err(Broken::EmptyDescriptor);
        }
        let buffers = match (descriptor.is_write_only(), self.writable.pieces.is_empty()) {
            (true, _) => &mut self.writable,
            (false, true) => &mut self.readable,
            (false, false) => return Err(Broken::OutOfOrder),
        };
        buffers.left = buffers.left.checked_add(descriptor.len()).ok_or(Broken::TooManyBytes)?;
        buffers.pieces.push((descriptor.addr().0, descriptor.len()));
        Ok(())
    }

    fn finish(mut self) -> Result<Self, Broken> {
        self.readable.left.checked_add(self.writable.left).ok_or(Broken::TooManyBytes)?;
        self.readable.pieces.reverse();
        self.writable.pieces.reverse();
        Ok(self)
    }
}

impl Table {
    /// The one that `descriptor` refers to.
    fn of(descriptor: &Descriptor) -> Result<Self, Broken> {
        let (at, len) = (descriptor.addr().0, descriptor.len());
        let is_table = len > 0 && len.is_multiple_of(DESCRIPTOR_BYTES);
        is_table.then_some(Self { at, entries: len / DESCRIPTOR_BYTES }).ok_or(Broken::BadTable)
    }

    fn read(self, view: &View, index: u16) -> Result<Descriptor, Broken> {
        if u32::from(index) >= self.entries {
            return Err(Broken::NoSuchNext { next: index });
        }
        let offset = u64::from(index) * u64::from(DESCRIPTOR_BYTES);
        let at = self.at.checked_add(offset).ok_or(Broken::BadPlace)?;
        view.read_obj(GuestAddress(at)).map_err(|error| view.unreachable(&error))
    }
}

impl Buffers {
    /// Bytes that were not used yet.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Bytes that were.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.done
    }

    /// Takes the last byte away, to be used for itself.
    pub fn split_last(&mut self) -> Option<Self> {
        let (at, len) = self.pieces.first().copied()?;
        let last = Self { pieces: vec![(at.wrapping_add(u64::from(len) - 1), 1)], left: 1, done: 0 };
        self.left -= 1;
        if len == 1 {
            self.pieces.remove(0);
        } else {
            self.pieces[0] = (at, len - 1);
        }
        Some(last)
    }

    /// Reads the next bytes, all that `bytes` has room for.
    ///
    /// # Errors
    /// [`Broken`] if there are fewer, or they are not there.
    pub fn read(&mut self, view: &View, bytes: &mut [u8]) -> Result<(), Broken> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (at, len) = self.take(rest.len()).ok_or(Broken::NoRequest("is too short"))?;
            let (piece, behind) = rest.split_at_mut(len);
            view.read_buffer(at, piece)?;
            rest = behind;
        }
        Ok(())
    }

    /// Writes the next bytes, all of `bytes`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn write(&mut self, view: &View, bytes: &[u8]) -> Result<(), Broken> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (at, len) = self.take(rest.len()).ok_or(Broken::NoRequest("has no room for its answer"))?;
            let (piece, behind) = rest.split_at(len);
            view.write_buffer(at, piece)?;
            rest = behind;
        }
        Ok(())
    }

    /// The next run, of at most `most` bytes; none if all are used.
    fn take(&mut self, most: usize) -> Option<(u64, usize)> {
        let (at, len) = self.pieces.pop()?;
        let taken = u32::try_from(most).map_or(len, |most| most.min(len));
        if taken < len {
            self.pieces.push((at.wrapping_add(taken.into()), len - taken));
        }
        self.left -= taken;
        self.done += taken;
        Some((at, usize::try_from(taken).ok()?))
    }
}
