//! Initial RAM disks: cpio archives of the kind `newc`, and those after one another.
//! Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

use std::io::{self, Write};

use cpio::newc::{Builder, trailer};

/// Archives begin at multiples of this.
const ALIGNMENT: usize = 512;
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// An archive that grows.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.add(path, FOLDER, &[])
    }

    /// A file that anybody may execute.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.add(path, PROGRAM, content)
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.add(path, LINK, target.as_bytes())
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.count += 1;
        let builder = Builder::new(path).ino(self.count).nlink(1).mode(mode);
        let len = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut writer = builder.write(&mut self.bytes, len);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    /// Its bytes, to which another archive may be appended.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        trailer(&mut self.bytes)?;
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        Ok(self.bytes)
    }
}
