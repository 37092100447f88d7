//! What is said between the device and whoever connects for it: a port, and a stream that leads there.
//!
//! Invariant: a question is a packet of four bytes, the host's port; its answer is the same four bytes, with one
//! descriptor if somebody listens there. Answers come in the order of their questions. Nothing else is ever
//! understood: no path and no address passes. Source: unix(7), SCM_RIGHTS.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
};

/// Bytes of a packet.
const BYTES: usize = 4;

/// The device's end, which does not block, and the other.
///
/// # Errors
/// What the host says if it has no descriptor left.
pub fn ends() -> io::Result<(OwnedFd, OwnedFd)> {
    let (device, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    ioctl_fionbio(&device, true)?;
    Ok((device, other))
}

/// A packet as it came.
#[derive(Debug)]
pub struct Packet {
    /// The host's port.
    pub port: u32,
    /// What came with it.
    pub stream: Option<OwnedFd>,
}

/// The next packet; none if the other end is gone or says nonsense.
///
/// # Errors
/// [`Errno::AGAIN`] if there is none yet, and what the host says otherwise.
pub fn hear(end: impl AsFd) -> Result<Option<Packet>, Errno> {
    let mut bytes = [0; BYTES];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let came = retry_on_intr(|| {
        recvmsg(&end, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let streams = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(streams) => Some(streams),
        _ => None,
    });
    // Whatever else came is closed.
    let stream = streams.flatten().last();
    Ok((came.bytes == BYTES).then_some(Packet { port: u32::from_le_bytes(bytes), stream }))
}

/// Asks for a stream to that port.
///
/// # Errors
/// What the host says if there is no room for the question, or nobody to ask.
pub fn ask(end: impl AsFd, port: u32) -> Result<(), Errno> {
    send(end, &port.to_le_bytes(), SendFlags::NOSIGNAL).map(|_all_of_it| ())
}

/// Answers.
///
/// # Errors
/// What the host says if nobody hears.
pub fn tell(end: impl AsFd, port: u32, stream: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let bytes = port.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let streams = stream.as_slice();
    if !streams.is_empty() {
        // There is room for one.
        let _has_room = control.push(SendAncillaryMessage::ScmRights(streams));
    }
    retry_on_intr(|| sendmsg(&end, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)).map(|_all| ())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::{Errno, ask, ends, hear, tell};

    #[test]
    fn a_question_is_a_port_and_its_answer_may_have_a_stream() {
        let (device, other) = ends().expect("the host has descriptors");
        assert_eq!(hear(&device).expect_err("nobody has answered"), Errno::AGAIN);
        ask(&device, 0xfedc_ba98).expect("there is room");
        let asked = hear(&other).expect("it was asked").expect("it is a port");
        assert!((asked.port, asked.stream.is_none()) == (0xfedc_ba98, true));
        let (mut ours, theirs) = UnixStream::pair().expect("the host has descriptors");
        tell(&other, 7, Some(theirs.as_fd())).expect("somebody hears");
        tell(&other, 8, None).expect("somebody hears");
        let answer = hear(&device).expect("it came").expect("it is a port");
        let mut stream = UnixStream::from(answer.stream.expect("it has a stream"));
        stream.write_all(b"x").expect("it leads there");
        ours.read_exact(&mut [0]).expect("it came from there");
        assert!(
            hear(&device).expect("it came").is_some_and(|answer| answer.port == 8 && answer.stream.is_none())
        );
        drop(other);
        assert!(hear(&device).expect("an end is no error").is_none());
        assert!(ask(&device, 7).is_err());
    }
}
