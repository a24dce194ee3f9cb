//! The parts of a configuration, each with what tests and benches seldom change already set. There
//! are two devices: `dpdk0` (interface 1) towards the dests, `dpdk1` (interface 2) towards the
//! clients.

use std::net::{IpAddr, SocketAddr};

use inet::{Device, IfIndex, LocalAddr, Prefix, Route, RouteScope};

use ipvs_core::{
    Access, Command, Dest, DestId, FwdMode, Laddr, LaddrId, Plan, SchedulerKind, Service,
    ServiceId, ServiceKey, ServiceOptions,
};
use packet::{MacAddr, PortId};
use sapool::{PoolShare, PortPool, WorkerId};

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
///
/// # Panics
/// If there is no such worker.
pub fn add_laddr(id: u32, addr: IpAddr, worker: u16, workers: u16) -> Command {
    let share =
        PoolShare::new(WorkerId(worker), workers).expect("a worker below the number of workers");
    Command::AddLaddr {
        id: LaddrId(id),
        addr,
        pool: Box::new(PortPool::new(share)),
    }
}
