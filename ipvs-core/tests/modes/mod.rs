//! NAT, DR, tunnel and SNAT with IPv4. FullNAT has a folder of its own, and so has IPv6.

mod any_mode;
mod blind_resets;
mod dr;
mod forged_client;
mod ipsec;
mod nat;
pub(crate) mod snat;
mod tunnel;
mod way_back;

use ipvs_core::{FwdMode, Protocol};
pub(crate) use snat::director as snat_director;
use testkit::director::*;
use testkit::frames;

const L2_LEN: usize = 14;

fn director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        ..Setup::default()
    };
    setup.build()
}

/// Without a local address, which only FullNAT needs.
fn udp_director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        laddrs: Vec::new(),
        ..Setup::default()
    };
    setup.build()
}

fn syn() -> Vec<u8> {
    let segment = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    segment.options(&SYN_OPTIONS).frame(FROM_CLIENT)
}
