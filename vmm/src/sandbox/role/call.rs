//! A system call on a list: its number, and which arguments it may have.
//!
//! Invariant: what is compared are integers; what a pointer points to no filter can see.

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, SeccompCondition, SeccompRule};

/// The bits of a socket's kind; the others are flags (include/linux/net.h).
const SOCKET_KINDS: u64 = 0xf;

/// A call that may be made.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox) struct Call {
    pub(in crate::sandbox) number: libc::c_long,
    when: Option<When>,
}

/// With which arguments.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox) enum When {
    /// The second is this: a request of ioctl, a command of fcntl. The kernel looks at 32 bits of it.
    Second(u32),
    /// The same of standard input alone.
    OnInput(u32),
    /// The third allows no execution: the protection of memory.
    NotExecutable,
    /// The first is this process.
    OwnProcess,
    /// The first and the second are those of a socket of TCP over IPv4.
    Tcp,
}

impl Call {
    /// With any arguments.
    pub(super) const fn of(number: libc::c_long) -> Self {
        Self { number, when: None }
    }

    /// With some.
    pub(super) const fn when(number: libc::c_long, when: When) -> Self {
        Self { number, when: Some(when) }
    }

    /// An ioctl with this request, of any file.
    pub(super) const fn ioctl(request: u32) -> Self {
        Self::when(libc::SYS_ioctl, When::Second(request))
    }

    /// An fcntl with this command.
    pub(super) const fn fcntl(command: libc::c_int) -> Self {
        Self::when(libc::SYS_fcntl, When::Second(command.cast_unsigned()))
    }

    /// What the filter is made of; none if any arguments will do.
    pub(in crate::sandbox) fn rule(self) -> Result<Option<SeccompRule>, BackendError> {
        self.when.map(|when| SeccompRule::new(when.conditions()?)).transpose()
    }
}

impl When {
    fn conditions(self) -> Result<Vec<SeccompCondition>, BackendError> {
        let second = |word: u32| SeccompCondition::new(1, Dword, Eq, word.into());
        Ok(match self {
            Self::Second(word) => vec![second(word)?],
            Self::OnInput(word) => {
                vec![SeccompCondition::new(0, Dword, Eq, libc::STDIN_FILENO as u64)?, second(word)?]
            }
            Self::NotExecutable => {
                let executable = libc::PROT_EXEC as u64;
                vec![SeccompCondition::new(2, Qword, MaskedEq(executable), 0)?]
            }
            Self::Tcp => {
                let (family, kind) = (libc::AF_INET as u64, libc::SOCK_STREAM as u64);
                vec![
                    SeccompCondition::new(0, Dword, Eq, family)?,
                    SeccompCondition::new(1, Dword, MaskedEq(SOCKET_KINDS), kind)?,
                ]
            }
            Self::OwnProcess => vec![SeccompCondition::new(0, Dword, Eq, std::process::id().into())?],
        })
    }
}
