//! Disks on the command line, and the files behind them.
//!
//! Invariant: a file is opened before the fence closes, locked for as long as the program has it, and never made or made
//! longer; of what it holds nothing but a root disk's partition table is looked at. What cannot be a disk is an error of one line that says what to do. Source: flock(2).

mod root;

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use devices::virtio::blk::disk::{Access, Disk};

pub(super) use root::Root;

const ACCEPTED: &str = "FILE[,ro][,serial=S]";

/// What is said of a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    /// The option that it was said with.
    option: &'static str,
    path: PathBuf,
    access: Access,
    serial: String,
}

/// The disk that `text` describes, behind `--disk`.
pub(super) fn parse(text: &str) -> Result<Words, String> {
    of_option("--disk", text)
}

/// The same, behind `--root-disk`.
pub(super) fn parse_root(text: &str) -> Result<Words, String> {
    of_option("--root-disk", text)
}

fn of_option(option: &'static str, text: &str) -> Result<Words, String> {
    let mut words = text.split(',');
    let path = words.next().filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| format!("give {ACCEPTED}"))?.into();
    let mut found = Words { option, path, access: Access::ReadWrite, serial: String::new() };
    for word in words {
        match (word, word.strip_prefix("serial=")) {
            ("ro", _) => found.access = Access::ReadOnly,
            (_, Some(serial)) => serial.clone_into(&mut found.serial),
            (_, None) => {
                return Err(format!("`{word}` is no option of a disk; give {ACCEPTED}, FILE without commas"));
            }
        }
    }
    Ok(found)
}

impl Words {
    /// The image.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens and locks the file.
    pub(super) fn open(&self) -> Result<Disk, String> {
        self.disk(self.file()?)
    }

    /// The same, of the disk on which Linux's root is; where on it.
    pub(super) fn open_root(&self) -> Result<(Disk, Root), String> {
        let file = self.file()?;
        let root =
            root::of(&file).map_err(|what| format!("{} {} {what}", self.option, self.path.display()))?;
        Ok((self.disk(file)?, root))
    }

    /// Whether its driver may write.
    pub(super) fn access(&self) -> Access {
        self.access
    }

    fn file(&self) -> Result<File, String> {
        let (option, path) = (self.option, self.path.display());
        let about = fs::metadata(&self.path).map_err(|error| self.cannot(&error))?;
        if about.is_dir() {
            return Err(format!(
                "{option} {path} is a folder; give a file with a disk's bytes, or a block device"
            ));
        }
        if !about.is_file() && !about.file_type().is_block_device() {
            return Err(format!("{option} {path} is no file and no block device; give one"));
        }
        let mut how = File::options();
        // What was looked at may be a FIFO by now, which would wait.
        how.read(true)
            .write(self.access == Access::ReadWrite)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = how.open(&self.path).map_err(|error| self.cannot(&error))?;
        self.lock(&file)?;
        Ok(file)
    }

    fn disk(&self, file: File) -> Result<Disk, String> {
        let (option, path) = (self.option, self.path.display());
        let len_bytes = (&file).seek(SeekFrom::End(0)).map_err(|error| self.cannot(&error))?;
        let disk = Disk::new(file, len_bytes, path.to_string(), self.access, &self.serial);
        disk.map_err(|error| format!("{option} {path} {error}"))
    }

    /// Readers may be several, a writer is alone.
    fn lock(&self, file: &File) -> Result<(), String> {
        let (option, path) = (self.option, self.path.display());
        let locked = match self.access {
            Access::ReadOnly => file.try_lock_shared(),
            Access::ReadWrite => file.try_lock(),
        };
        match locked {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(format!(
                "{option} {path} is in use, by another guest or twice by this one; end the other, give a copy, or give it with \
                 `,ro` to all"
            )),
            Err(TryLockError::Error(error)) => Err(self.cannot(&error)),
        }
    }

    fn cannot(&self, error: &io::Error) -> String {
        let (option, path) = (self.option, self.path.display());
        let remedy = match error.kind() {
            ErrorKind::NotFound => "; `truncate -s 1G FILE` makes an empty disk",
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::ExecutableFileBusy
                if self.access == Access::ReadWrite =>
            {
                "; give it with `,ro`, or let it be written"
            }
            _ => "",
        };
        format!("cannot open {option} {path}: {error}{remedy}")
    }
}

#[cfg(test)]
mod tests;
