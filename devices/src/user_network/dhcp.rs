//! The one address that there is to have, for whoever asks.
//!
//! Invariant: an answer depends on the question alone; who asks for another address is told that it cannot have it. A lease is
//! for a day, and nobody else may have the address afterwards. Source: RFC 2131, 4.3.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::address::{GATEWAY, GATEWAY_HARDWARE, GUEST, MASK};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const LEASE_SECONDS: u32 = 86_400;
const HOPS: u8 = 64;

/// The frame that answers `question`, if it is to be answered.
pub(super) fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let frame = EthernetFrame::new_checked(question).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    let message = DhcpPacket::new_checked(datagram.payload()).ok()?;
    let asked = DhcpRepr::parse(&message).ok()?;
    let kind = kind(&asked)?;
    Some(written(&asked, kind))
}

/// Which answer it is.
fn kind(asked: &DhcpRepr<'_>) -> Option<DhcpMessageType> {
    if asked.server_identifier.is_some_and(|server| server != GATEWAY) {
        return None;
    }
    let wanted = asked.requested_ip.unwrap_or(asked.client_ip);
    match asked.message_type {
        DhcpMessageType::Discover => Some(DhcpMessageType::Offer),
        DhcpMessageType::Request if wanted == GUEST => Some(DhcpMessageType::Ack),
        DhcpMessageType::Request => Some(DhcpMessageType::Nak),
        DhcpMessageType::Inform => Some(DhcpMessageType::Ack),
        DhcpMessageType::Offer
        | DhcpMessageType::Decline
        | DhcpMessageType::Ack
        | DhcpMessageType::Nak
        | DhcpMessageType::Release
        | DhcpMessageType::Unknown(_) => None,
    }
}

fn message<'a>(asked: &DhcpRepr<'_>, kind: DhcpMessageType) -> DhcpRepr<'a> {
    let is_granted = kind != DhcpMessageType::Nak;
    // Who has an address already keeps it, and asks for the rest alone.
    let is_leased = is_granted && asked.message_type != DhcpMessageType::Inform;
    let unspecified = Ipv4Addr::UNSPECIFIED;
    DhcpRepr {
        message_type: kind,
        transaction_id: asked.transaction_id,
        secs: 0,
        client_hardware_address: asked.client_hardware_address,
        client_ip: if is_granted { asked.client_ip } else { unspecified },
        your_ip: if is_leased { GUEST } else { unspecified },
        server_ip: unspecified,
        router: is_granted.then_some(GATEWAY),
        subnet_mask: is_granted.then_some(MASK),
        relay_agent_ip: unspecified,
        broadcast: asked.broadcast,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(GATEWAY),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: is_leased.then_some(LEASE_SECONDS),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    }
}

/// The answer as a frame: to the address that the client has, or to everybody on its cable, who is nobody else.
fn written(asked: &DhcpRepr<'_>, kind: DhcpMessageType) -> Vec<u8> {
    let message = message(asked, kind);
    let has_address = kind != DhcpMessageType::Nak && asked.client_ip == GUEST;
    let target = if has_address { GUEST } else { Ipv4Addr::BROADCAST };
    let datagram = UdpRepr { src_port: SERVER_PORT, dst_port: CLIENT_PORT };
    let packet = Ipv4Repr {
        src_addr: GATEWAY,
        dst_addr: target,
        next_header: IpProtocol::Udp,
        payload_len: datagram.header_len() + message.buffer_len(),
        hop_limit: HOPS,
    };
    let frame = EthernetRepr {
        src_addr: EthernetAddress(GATEWAY_HARDWARE),
        dst_addr: if has_address { asked.client_hardware_address } else { EthernetAddress::BROADCAST },
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut bytes = vec![0; frame.buffer_len() + packet.buffer_len() + packet.payload_len];
    let checksums = ChecksumCapabilities::default();
    let mut whole = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.emit(&mut whole);
    let mut inner = Ipv4Packet::new_unchecked(whole.payload_mut());
    packet.emit(&mut inner, &checksums);
    let mut innermost = UdpPacket::new_unchecked(inner.payload_mut());
    let write = |room: &mut [u8]| {
        // There is room for each option that the length was asked of.
        let _written = message.emit(&mut DhcpPacket::new_unchecked(room));
    };
    let (from, to) = (GATEWAY.into(), target.into());
    datagram.emit(&mut innermost, &from, &to, message.buffer_len(), write, &checksums);
    bytes
}

#[cfg(test)]
mod tests;
