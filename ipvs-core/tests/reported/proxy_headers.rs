//! PROXY headers of clients (HAProxy's specification, 2.1 and 2.2).

use ipvs_core::ProxyProtocol;
use packet::proxy::Version;
use rstest::rstest;

use super::*;

const OURS: &[u8] = b"PROXY TCP4 10.0.0.48 10.0.0.100 40000 80\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const ENDS: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a";

fn v2(command: u8, family: u8, len: u16, rest: &[u8]) -> Vec<u8> {
    let len = len.to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &len, rest].concat()
}

/// What the dest gets for the client's first bytes.
fn told(version: Version, is_insecure: bool, said: &[u8]) -> Vec<u8> {
    let mut director = Setup::default().build();
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version,
            is_insecure,
            is_in_each_datagram: false,
        });
    });
    director.open();
    let segment = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let seen = director.to_dest(&segment.payload(said).frame(FROM_CLIENT));
    assert!(seen.checksums_right);
    seen.payload
}

/// apache/trafficserver#12141: the TLVs behind the addresses belong to the header, the data behind
/// them does not. haproxy/haproxy#511: a LOCAL header may have addresses and TLVs too, which count
/// for nothing.
#[rstest]
#[case::tlvs(v2(1, 0x11, 12 + 7, &[ENDS, b"\x05\0\x04abcd"].concat()))]
#[case::local(v2(0, 0x00, 0, b""))]
#[case::local_with_addresses(v2(0, 0x11, 12, ENDS))]
#[case::local_with_tlvs(v2(0, 0x00, 7, b"\x05\0\x04abcd"))]
#[case::unknown(b"PROXY UNKNOWN\r\n".to_vec())]
#[case::unknown_with_a_rest(b"PROXY UNKNOWN ffff::1 what ever\r\n".to_vec())]
fn a_client_s_whole_header_is_replaced(#[case] header: Vec<u8>) {
    let said = [&header[..], b"hello"].concat();
    assert_eq!(told(Version::V1, false, &said), [OURS, b"hello"].concat());
}

/// A trusted header that names nobody, to dests that read the other version: the client is who the
/// packet comes from. A server that reads version 1 only cannot read a header of version 2.
#[rstest]
#[case::local(Version::V1, v2(0, 0x11, 12, ENDS))]
#[case::unspecified(Version::V1, v2(1, 0x00, 0, b""))]
#[case::unknown(Version::V2, b"PROXY UNKNOWN\r\n".to_vec())]
fn a_trusted_header_that_names_nobody_is_translated_into_the_director_s(
    #[case] version: Version,
    #[case] header: Vec<u8>,
) {
    let said = [&header[..], b"hello"].concat();
    let ours = match version {
        Version::V1 => OURS.to_vec(),
        Version::V2 => v2(1, 0x11, 12, b"\x0a\0\0\x30\x0a\0\0\x64\x9c\x40\0\x50"),
    };
    assert_eq!(told(version, true, &said), [&ours[..], b"hello"].concat());
}

/// squid-cache/squid#342: a line without an end, longer than a header may be (107 bytes), a part of
/// a header, and a length beyond the segment are no headers.
#[rstest]
#[case::no_end([&b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10 "[..], &[b'x'; 200]].concat())]
#[case::a_part(b"PROXY TCP4 1.2.3.4".to_vec())]
#[case::length_beyond(v2(1, 0x11, 0xffff, ENDS))]
#[case::shorter_than_its_addresses(v2(1, 0x11, 4, ENDS))]
#[case::half_a_signature(SIGNATURE[..7].to_vec())]
fn what_only_looks_like_a_header_comes_behind_the_director_s(#[case] said: Vec<u8>) {
    let told = told(Version::V1, false, &said);
    assert!(told.starts_with(OURS), "{told:?}");
}
