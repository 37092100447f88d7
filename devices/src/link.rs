//! What a network device's cable leads to.
//!
//! Invariant: nobody waits for the other end. A frame that it cannot take is lost, and so is one that the guest has no room
//! for and that cannot stay where it is; whoever loses one says so, and nothing grows meanwhile.
//!
//! Read in this order: this trait, [`bell`] (what ends a wait), [`tap`] (an interface of the host's). The other end that
//! needs no rights is [`crate::user_network`].

pub mod bell;
pub mod tap;

use bell::Bell;

/// Bytes of a packet that the cable carries.
pub const MTU: u16 = 1500;
/// Bytes of an Ethernet header.
pub const HEADER_BYTES: usize = 14;
/// Bytes of the longest frame: header, a VLAN's tag, packet.
pub const FRAME_BYTES: usize = HEADER_BYTES + 4 + MTU as usize;

/// What became of a frame of the guest's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The other end has it.
    Taken,
    /// Nobody has.
    Lost,
}

/// What came for the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A frame of so many bytes.
    Frame(usize),
    /// One that is longer than any that may come.
    Lost,
    /// Nothing.
    Nothing,
}

/// The other end of a cable.
pub trait Link: Send {
    /// Takes a frame of the guest's, or loses it.
    fn send(&mut self, frame: &[u8]) -> Sent;

    /// Puts the next frame for the guest into `room`.
    fn receive(&mut self, room: &mut [u8; FRAME_BYTES]) -> Received;

    /// The guest has no room. How many frames are lost, since they cannot wait here.
    fn lose(&mut self) -> u64;

    /// Waits until there may be something to receive, or `bell` is rung.
    fn wait(&mut self, bell: &Bell);
}
