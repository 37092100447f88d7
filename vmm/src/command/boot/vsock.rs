//! Sockets between guest and host on the command line.
//!
//! Invariant: the host's socket is bound before the fence, and who connects to others starts before it; inside it
//! nobody reaches a path. Source: Firecracker, docs/vsock.md.

use std::path::PathBuf;
use std::sync::Arc;

use super::socket::{Socket, connector};
use crate::machine::options::VirtioKind;

/// The first CID that is a guest's: those below are the hypervisor's, the local machine's and the host's.
const FIRST_CID: u32 = 3;
/// VMADDR_CID_ANY is nobody's.
const LAST_CID: u32 = u32::MAX - 1;

/// What is said of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    cid: u32,
    /// Where the host reaches the guest.
    pub(super) path: PathBuf,
}

/// What `text` says.
pub(super) fn parse(text: &str) -> Result<Words, String> {
    let accepted = || format!("give CID,PATH, a CID from {FIRST_CID} to {LAST_CID}, such as 3,guest.sock");
    let (cid, path) = text.split_once(',').ok_or_else(accepted)?;
    let cid = cid.parse().ok().filter(|cid| (FIRST_CID..=LAST_CID).contains(cid));
    match (cid, path) {
        (Some(_), "") | (None, _) => Err(accepted()),
        (Some(cid), path) => Ok(Words { cid, path: path.into() }),
    }
}

impl Words {
    /// The device, whom the host reaches by `socket`, and which reaches the host by a process of its own.
    pub(super) fn device(&self, socket: &Socket) -> std::io::Result<VirtioKind> {
        let errands = Arc::new(connector::start(&self.path)?);
        Ok(VirtioKind::Vsock { cid: self.cid, listener: Arc::new(socket.listener()?), errands })
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_no_cid_and_no_path_says_what_is() {
        for good in ["3,run/s", "4294967294,s", "52,a,b"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for wrong in
            ["", "3", "3,", "run/s", "2,run/s", "0,run/s", "4294967295,run/s", "4294967296,s", "-1,s", "x,s"]
        {
            let told = parse(wrong).expect_err(wrong);
            assert!(told.contains("from 3 to 4294967294") && !told.contains('\n'), "{wrong}: {told}");
        }
    }
}
