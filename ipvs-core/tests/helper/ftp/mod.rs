//! The FTP helper with NAT and FullNAT (RFC 959, RFC 2428).

mod active;
mod nat64;
mod passive;
mod repeated_calls;

use std::net::IpAddr;
use std::sync::Arc;

use ipvs_core::{Command, FwdMode, LaddrId, Owners, WorkerId};
use sapool::{PoolShare, PoolUsage, PortPool};
use testkit::director::*;
use testkit::frames::{self, Seen};

const VIP_FTP: &str = "10.0.0.100:21";
const DEST_FTP: &str = "192.168.100.2:21";

fn director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    };
    setup.build()
}

/// A control conn: the address by which the dest sees the client, and how far the numbers at the
/// dest differ from the client's.
struct Control {
    seen_as: String,
    delta: u32,
}

fn control(director: &mut Director) -> Control {
    let opened = director.open_between(CLIENT, VIP_FTP, DEST_FTP);
    Control {
        seen_as: opened.laddr,
        delta: opened.isn_at_dest - 1000,
    }
}

/// The client sends a line. Returns what the dest gets.
fn says(director: &mut Director, seq: u32, ack: u32, line: &str) -> Seen {
    let segment = frames::tcp(CLIENT, VIP_FTP).flags("PA").seq(seq).ack(ack);
    let seen = director.to_dest(&segment.payload(line.as_bytes()).frame(FROM_CLIENT));
    assert!(seen.checksums_right);
    seen
}

/// The dest answers with a line. Returns what the client gets.
fn answers(director: &mut Director, control: &Control, seq: u32, ack: u32, line: &str) -> Seen {
    let segment = frames::tcp(DEST_FTP, &control.seen_as)
        .flags("PA")
        .seq(seq)
        .ack(ack);
    let seen = director.to_client(&segment.payload(line.as_bytes()).frame(FROM_DEST));
    assert!(seen.checksums_right);
    seen
}

fn text(seen: &Seen) -> &str {
    std::str::from_utf8(&seen.payload).unwrap()
}

const EPRT: &str = "EPRT |1|10.0.0.48|40001|\r\n";

/// The client sends an EPRT with the port that it listens on. Returns the local address and port
/// that the dest is told instead.
fn announce(director: &mut Director, seq: u32) -> String {
    let seen = says(director, seq, 5001, EPRT);
    let lport = text(&seen).split('|').nth(3).unwrap();
    format!("{LADDR}:{lport}")
}

/// How many ports of the local address are in use.
fn ports_in_use(director: &mut Director) -> Arc<PoolUsage> {
    ports_of_in_use(director, LADDR)
}

fn ports_of_in_use(director: &mut Director, laddr: &str) -> Arc<PoolUsage> {
    let addr: IpAddr = laddr.parse().unwrap();
    let share = PoolShare::new(&Owners::single(), WorkerId(0), addr.is_ipv6());
    let pool = Box::new(PortPool::new(&share));
    let usage = pool.usage();
    director.command(Command::AddLaddr {
        id: LaddrId(0),
        addr,
        pool,
    });
    usage
}
