//! Questions for an address, and their answers.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, Ipv4Packet, Ipv4Repr, UdpPacket,
    UdpRepr,
};

use super::{GATEWAY, GUEST, LEASE_SECONDS, MASK, answer, message, written};

const CLIENT: EthernetAddress = EthernetAddress([0x52, 0x54, 0, 1, 2, 3]);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 16);

fn question(kind: DhcpMessageType) -> DhcpRepr<'static> {
    let empty = DhcpRepr {
        message_type: kind,
        transaction_id: 0x1234_5678,
        secs: 0,
        client_hardware_address: CLIENT,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    DhcpRepr { client_ip: Ipv4Addr::UNSPECIFIED, ..empty }
}

/// As a client's frame: what stands around a message is written as around an answer.
fn framed(question: &DhcpRepr<'_>) -> Vec<u8> {
    let mut bytes = written(question, DhcpMessageType::Nak);
    let header_bytes = bytes.len() - message(question, DhcpMessageType::Nak).buffer_len();
    bytes.resize(header_bytes + question.buffer_len(), 0);
    let checksums = ChecksumCapabilities::ignored();
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    let about = Ipv4Repr {
        src_addr: Ipv4Addr::UNSPECIFIED,
        dst_addr: Ipv4Addr::BROADCAST,
        next_header: smoltcp::wire::IpProtocol::Udp,
        payload_len: 8 + question.buffer_len(),
        hop_limit: 1,
    };
    about.emit(&mut packet, &checksums);
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    let ends = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into());
    UdpRepr { src_port: 68, dst_port: 67 }.emit(
        &mut datagram,
        &ends.0,
        &ends.1,
        question.buffer_len(),
        |room| question.emit(&mut DhcpPacket::new_unchecked(room)).expect("there is room"),
        &checksums,
    );
    bytes
}

/// What is answered: by which kind, to which IP address, with which address for the client and for how long.
fn answered(question: &DhcpRepr<'_>) -> Option<(DhcpMessageType, Ipv4Addr, Ipv4Addr, Option<u32>)> {
    let bytes = answer(&framed(question))?;
    let frame = EthernetFrame::new_checked(&bytes[..]).expect("it is a frame");
    let packet = Ipv4Packet::new_checked(frame.payload()).expect("it is a packet");
    assert!(packet.verify_checksum());
    let datagram = UdpPacket::new_checked(packet.payload()).expect("it is a datagram");
    assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
    let message = DhcpPacket::new_checked(datagram.payload()).expect("it is a message");
    let found = DhcpRepr::parse(&message).expect("it is an answer");
    assert_eq!(
        (found.transaction_id, found.server_identifier, found.client_hardware_address),
        (0x1234_5678, Some(GATEWAY), CLIENT)
    );
    let is_granted = found.message_type != DhcpMessageType::Nak;
    assert_eq!(
        (found.router, found.subnet_mask),
        (is_granted.then_some(GATEWAY), is_granted.then_some(MASK))
    );
    Some((found.message_type, packet.dst_addr(), found.your_ip, found.lease_duration))
}

#[test]
fn who_asks_gets_the_one_address() {
    let everybody = Ipv4Addr::BROADCAST;
    let nobody = Ipv4Addr::UNSPECIFIED;
    let lease = Some(LEASE_SECONDS);
    let request = question(DhcpMessageType::Request);
    let cases = [
        (question(DhcpMessageType::Discover), Some((DhcpMessageType::Offer, everybody, GUEST, lease))),
        (
            DhcpRepr { requested_ip: Some(GUEST), server_identifier: Some(GATEWAY), ..request.clone() },
            Some((DhcpMessageType::Ack, everybody, GUEST, lease)),
        ),
        (DhcpRepr { client_ip: GUEST, ..request.clone() }, Some((DhcpMessageType::Ack, GUEST, GUEST, lease))),
        (
            DhcpRepr { requested_ip: Some(OTHER), ..request.clone() },
            Some((DhcpMessageType::Nak, everybody, nobody, None)),
        ),
        (DhcpRepr { server_identifier: Some(OTHER), ..request }, None),
        (
            DhcpRepr { client_ip: GUEST, ..question(DhcpMessageType::Inform) },
            Some((DhcpMessageType::Ack, GUEST, nobody, None)),
        ),
        (question(DhcpMessageType::Release), None),
        (question(DhcpMessageType::Offer), None),
    ];
    for (asked, expected) in cases {
        assert_eq!(answered(&asked), expected, "{asked:?}");
    }
}

#[test]
fn what_is_cut_off_is_not_answered() {
    let whole = framed(&question(DhcpMessageType::Discover));
    assert!(answer(&whole).is_some());
    for len in 0..whole.len() - 1 {
        assert_eq!(answer(&whole[..len]), None, "{len} bytes");
    }
}
