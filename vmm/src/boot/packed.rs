//! Images that were packed as a whole: gzip, Zstandard, xz and LZ4, unpacked by crates without a line of C.
//!
//! Invariant: unpacking takes no more memory than what is unpacked may have, which is the guest's own, and a dictionary of
//! at most that or `LEAST_DICTIONARY_BYTES`. A bzImage is no packed image: [`linux`](super::linux) takes it apart.
//! Source: RFC 1952, RFC 8878, "The .xz File Format" 1.2.1, LZ4 frame format 1.6.4 and its legacy frame.

use std::io::{self, ErrorKind, Read};

use super::{BootError, File};

/// A window that `xz -9` needs, with what its reader adds.
const LEAST_DICTIONARY_BYTES: u64 = 80 << 20;
/// What is asked of the host at first.
const FIRST_BYTES: usize = 64 << 10;

/// By what an image was packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstandard,
    /// xz.
    Xz,
    /// LZ4 in frames, new or legacy.
    Lz4,
    /// bzip2, which is recognised and not unpacked.
    Bzip2,
}

/// How packed files begin.
const MARKS: [(&[u8], Packing); 6] = [
    (&[0x1f, 0x8b, 8], Packing::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstandard),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Packing::Xz),
    (&[0x04, 0x22, 0x4d, 0x18], Packing::Lz4),
    (&[0x02, 0x21, 0x4c, 0x18], Packing::Lz4),
    (b"BZh", Packing::Bzip2),
];

impl Packing {
    /// How `bytes` are packed, if they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, packing)| *packing)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip file",
            Self::Zstandard => "Zstandard file",
            Self::Xz => "xz file",
            Self::Lz4 => "LZ4 file",
            Self::Bzip2 => "bzip2 file",
        }
    }

    /// The command that unpacks a file of that kind.
    const fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gunzip",
            Self::Zstandard => "unzstd",
            Self::Xz => "unxz",
            Self::Lz4 => "unlz4",
            Self::Bzip2 => "bunzip2",
        }
    }
}

/// What `bytes` of the file `name`, which are packed so, hold: `most_bytes` at most.
///
/// # Errors
/// [`BootError`] in one line.
pub(super) fn unpack(name: &str, bytes: &[u8], packing: Packing, most_bytes: u64) -> Result<File, BootError> {
    let unpacked = match packing {
        Packing::Gzip => read(flate2::read::MultiGzDecoder::new(bytes), most_bytes),
        Packing::Zstandard => zstandard(bytes, most_bytes),
        Packing::Xz => {
            let kib = u32::try_from(most_bytes.max(LEAST_DICTIONARY_BYTES) >> 10).unwrap_or(u32::MAX - 1);
            read(lzma_rust2::XzReader::new_mem_limit(bytes, true, kib), most_bytes)
        }
        Packing::Lz4 => lz4(bytes, most_bytes),
        Packing::Bzip2 => {
            return Err(BootError::Packed {
                file: name.to_owned(),
                format: packing.name(),
                command: packing.command(),
            });
        }
    };
    let broken = |what| BootError::Unpacking {
        file: name.to_owned(),
        format: packing.name(),
        command: packing.command(),
        what,
    };
    match unpacked {
        Ok(Some(bytes)) if bytes.is_empty() => Err(broken("it holds nothing".to_owned())),
        Ok(Some(bytes)) => Ok(File { name: name.to_owned(), bytes }),
        Ok(None) => {
            Err(BootError::UnpackedTooLarge { file: name.to_owned(), most_bytes, command: packing.command() })
        }
        Err(error) if is_of_host(&error) => Err(BootError::NoHostMemory { file: name.to_owned() }),
        Err(error) => Err(broken(one_line(&error))),
    }
}

/// Whether it is ours: a reader that needs more than it may has words of its own.
fn is_of_host(error: &io::Error) -> bool {
    error.kind() == ErrorKind::OutOfMemory && error.get_ref().is_none()
}

fn one_line(error: &io::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Frame by frame; none if there is more than `most_bytes`.
fn zstandard(mut bytes: &[u8], most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let frame = ruzstd::decoding::StreamingDecoder::new(&mut bytes).map_err(io::Error::other)?;
        if !read_behind(frame, most_bytes, &mut all)? {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

/// Frame by frame, too.
fn lz4(bytes: &[u8], most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut frames = lz4_flex::frame::FrameDecoder::new(bytes);
    let mut all = Vec::new();
    loop {
        let before = frames.get_ref().len();
        if !read_behind(&mut frames, most_bytes, &mut all)? {
            return Ok(None);
        }
        if frames.get_ref().is_empty() || frames.get_ref().len() == before {
            return Ok(Some(all));
        }
    }
}

fn read(from: impl Read, most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    let fits = read_behind(from, most_bytes, &mut all)?;
    Ok(fits.then_some(all))
}

/// Reads to the end, behind what is in `all`; whether that is no more than `most_bytes`. The host may have no room for it.
fn read_behind(mut from: impl Read, most_bytes: u64, all: &mut Vec<u8>) -> io::Result<bool> {
    let most = usize::try_from(most_bytes).map_err(io::Error::other)?;
    let mut piece = vec![0; FIRST_BYTES];
    loop {
        let len = match from.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if len > most - all.len() {
            return Ok(false);
        }
        if len > all.capacity() - all.len() {
            // Twice as much, but no more than may come.
            let wanted = (2 * all.len()).max(FIRST_BYTES).max(all.len() + len).min(most);
            all.try_reserve_exact(wanted - all.len()).map_err(|_| ErrorKind::OutOfMemory)?;
        }
        all.extend_from_slice(&piece[..len]);
    }
}

#[cfg(test)]
mod tests;
