//! The parts of a configuration, each with what tests and benches seldom change already set. There
//! are two devices: `dpdk0` (interface 1) towards the dests, `dpdk1` (interface 2) towards the
//! clients.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use inet::{Device, IfIndex, LocalAddr, Prefix, Route, RouteScope};

use ipvs_core::{
    Access, Command, Dest, DestId, FwdMode, Laddr, LaddrId, LaddrUseId, Plan, SchedulerKind,
    Service, ServiceId, ServiceKey, ServiceOptions,
};
use packet::{MacAddr, PortId};
use rss::{Key, Owners, WorkerId};

use sapool::{PoolShare, PortPool};

use crate::nic::Nic;

/// The interface towards the dests
pub const TO_DESTS: IfIndex = IfIndex(1);
/// The interface towards the clients
pub const TO_CLIENTS: IfIndex = IfIndex(2);

/// The device `dpdk<number>`, whose interface index is `number + 1`, without kni.
pub fn device(number: u16, port: PortId, mac: MacAddr) -> Device {
    Device {
        ifindex: IfIndex(number + 1),
        name: format!("dpdk{number}"),
        port,
        mac,
        mtu: 1500,
        kni: false,
        forward_to_kni: false,
    }
}

/// The address of a service.
pub const fn vip(addr: IpAddr, ifindex: IfIndex) -> LocalAddr {
    LocalAddr {
        addr,
        ifindex,
        sapool: false,
    }
}

/// A local address towards the dests, whose ports the engine gives out.
pub const fn local_addr(addr: IpAddr) -> LocalAddr {
    LocalAddr {
        addr,
        ifindex: TO_DESTS,
        sapool: true,
    }
}

/// A route through a gateway, or to hosts on the link when there is none.
pub const fn route(prefix: Prefix, ifindex: IfIndex, gateway: Option<IpAddr>) -> Route {
    Route {
        prefix,
        ifindex,
        gateway,
        src: None,
        mtu: 1500,
        metric: 0,
        scope: match gateway {
            Some(_) => RouteScope::Global,
            None => RouteScope::Link,
        },
        auto: false,
    }
}

/// A dest of weight 1 without thresholds.
pub const fn dest(id: u32, at: SocketAddr, fwdmode: FwdMode) -> Dest {
    Dest {
        id: DestId(id),
        addr: at.ip(),
        port: at.port(),
        weight: 1,
        fwdmode,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel_spread: None,
    }
}

/// A local address as services name it.
pub const fn laddr(id: u32, addr: IpAddr) -> Laddr {
    Laddr {
        id: LaddrId(id),
        use_id: LaddrUseId(id),
        addr,
        ifindex: TO_DESTS,
    }
}

/// A service with default options that anyone may use.
pub fn service(
    id: u32,
    key: ServiceKey,
    scheduler: SchedulerKind,
    dests: Vec<Dest>,
    laddrs: impl IntoIterator<Item = Laddr>,
) -> Service {
    Service {
        id: ServiceId(id),
        key,
        scheduler,
        plan: Plan::new(scheduler, &dests),
        dests,
        leaving: Vec::new(),
        laddrs: laddrs.into_iter().collect(),
        options: ServiceOptions::default(),
        access: Access::default(),
    }
}

/// Gives a worker its share of a local address's ports.
pub fn add_laddr(id: u32, addr: IpAddr, worker: u16, owners: &Owners) -> Command {
    let share = PoolShare::new(owners, WorkerId(worker), addr.is_ipv6());
    Command::AddLaddr {
        id: LaddrId(id),
        addr,
        pool: Box::new(PortPool::new(&share)),
    }
}

/// Gives the first worker a local address of which these ports alone are free.
pub fn add_laddr_with(id: u32, addr: IpAddr, owners: &Owners, ports: &[u16]) -> Command {
    let share = PoolShare::new(owners, WorkerId(0), addr.is_ipv6());
    let mut pool = PortPool::new(&share);
    let in_use = (sapool::FIRST_PORT..=sapool::LAST_PORT).filter(|port| !ports.contains(port));
    for port in in_use {
        for class in 0..sapool::CLASSES {
            pool.claim(class, port);
        }
    }
    Command::AddLaddr {
        id: LaddrId(id),
        addr,
        pool: Box::new(pool),
    }
}

/// The owners of packets in a director of so many workers: a table of 128 entries, as most NICs
/// have, and a key without regularity.
///
/// # Panics
/// If there are more workers than entries.
pub fn owners(workers: u16) -> Arc<Owners> {
    let table = Owners::in_turns(128, workers);
    let owners = Owners::new(&rss_key(), table, workers);
    Arc::new(owners.expect("a key without regularity"))
}

/// A NIC that hashes as [`owners`] does.
pub fn nic(workers: u16) -> Nic {
    Nic::new(&rss_key(), owners(workers).table())
}

/// A key of 52 bytes, as long as keys are.
fn rss_key() -> Key {
    let byte = |at: usize| (0x9e37_79b1_u32.wrapping_mul(at as u32 + 1) >> 24) as u8;
    Key(std::array::from_fn(byte))
}

/// The number of the worker that owns packets between these ends, in a director of so many workers.
///
/// # Panics
/// If the ends are no addresses with ports, or of two families.
pub fn owner_of(workers: usize, src: &str, dst: &str) -> usize {
    let end = |text: &str| text.parse::<SocketAddr>().expect("an address with a port");
    let (src, dst) = (end(src), end(dst));
    let owners = owners(workers as u16);
    let owner = match (src.ip(), dst.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            owners.of_v4(from.octets(), to.octets(), src.port(), dst.port())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            owners.of_v6(from.octets(), to.octets(), src.port(), dst.port())
        }
        _ => panic!("{src} and {dst} are of two families"),
    };
    owner.index()
}
