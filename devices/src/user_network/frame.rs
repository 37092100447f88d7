//! What a frame of the guest's is, before the stack sees it.
//!
//! Invariant: the stack answers for every address, so what it must not answer does not reach it: questions for the hardware
//! address of anybody but the gateway, echoes for others, and what does not come from the guest's address.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    ArpPacket, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

use super::address::{GATEWAY, GUEST};

/// Where a DHCP server listens.
const DHCP_PORT: u16 = 67;

/// The two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ends {
    pub(super) guest_port: u16,
    pub(super) target: SocketAddrV4,
}

/// A kind of frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Nobody here hears it.
    Foreign,
    /// A question for an address of its own.
    Dhcp,
    /// It opens a connection.
    Opens(Ends),
    /// The stack knows what to do.
    Stack,
}

impl Frame {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Ok(frame) = EthernetFrame::new_checked(bytes) else { return Self::Foreign };
        let is_heard = match frame.ethertype() {
            EthernetProtocol::Arp => is_for_gateway(frame.payload()),
            EthernetProtocol::Ipv4 => return of_packet(frame.payload()).unwrap_or(Self::Foreign),
            EthernetProtocol::Ipv6 | EthernetProtocol::Unknown(_) => false,
        };
        if is_heard { Self::Stack } else { Self::Foreign }
    }
}

fn is_for_gateway(payload: &[u8]) -> bool {
    ArpPacket::new_checked(payload).is_ok_and(|packet| packet.target_protocol_addr() == GATEWAY.octets())
}

/// None if nobody hears it.
fn of_packet(payload: &[u8]) -> Option<Frame> {
    let packet = Ipv4Packet::new_checked(payload).ok()?;
    let (source, target) = (packet.src_addr(), packet.dst_addr());
    let is_first = packet.frag_offset() == 0 && !packet.more_frags();
    let is_lone = !(target.is_multicast() || target.is_broadcast() || target.is_unspecified());
    match packet.next_header() {
        IpProtocol::Udp if is_first && is_dhcp(source, packet.payload()) => Some(Frame::Dhcp),
        _ if source != GUEST || !is_lone || !is_first => None,
        IpProtocol::Tcp => of_segment(target, packet.payload()),
        IpProtocol::Icmp if target != GATEWAY => None,
        _ => Some(Frame::Stack),
    }
}

fn is_dhcp(source: Ipv4Addr, payload: &[u8]) -> bool {
    let is_to_server = UdpPacket::new_checked(payload).is_ok_and(|packet| packet.dst_port() == DHCP_PORT);
    is_to_server && (source.is_unspecified() || source == GUEST)
}

fn of_segment(target: Ipv4Addr, payload: &[u8]) -> Option<Frame> {
    let segment = TcpPacket::new_checked(payload).ok()?;
    if !segment.syn() || segment.ack() || segment.rst() {
        return Some(Frame::Stack);
    }
    let target = SocketAddrV4::new(target, segment.dst_port());
    Some(Frame::Opens(Ends { guest_port: segment.src_port(), target }))
}
