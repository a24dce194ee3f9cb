//! NAT64 and NAT46: clients of one address family, dests of the other (RFC 7915).

mod error_details;
mod forwarding;
mod fragments;
mod icmp_errors;
mod match_services;
mod nat_mode;

use ipvs_core::{FwdMode, Protocol};
use testkit::director::*;
use testkit::frames::Seen;

const L2_LEN: usize = 14;

fn nat64(protocol: Protocol) -> Director {
    Setup {
        protocol,
        vip: VIP6,
        ..Setup::default()
    }
    .build()
}

fn nat46(protocol: Protocol) -> Director {
    Setup {
        vip: VIP,
        ..setup6(protocol, FwdMode::FullNat)
    }
    .build()
}

fn seen(frame: &[u8]) -> Seen {
    Seen::parse(frame)
}
