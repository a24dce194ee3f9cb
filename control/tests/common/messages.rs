//! Requests as the command lines of the tutorial make them.

use std::net::IpAddr;

use ipvs_core::{Protocol, ServiceKey};
use proto::v1;
use proto::v1::change::Change;
use tonic::{Code, Status};

pub(crate) const VIP: &str = "10.0.0.100";
pub(crate) const LIP: &str = "192.168.100.200";

pub(crate) fn ip(text: &str) -> Option<v1::IpAddress> {
    let bytes = match text.parse().unwrap() {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    Some(v1::IpAddress { bytes })
}

pub(crate) fn core_key(addr: &str, port: u16) -> ServiceKey {
    ServiceKey {
        protocol: Protocol::Tcp,
        addr: addr.parse().unwrap(),
        port,
        matcher: None,
    }
}

pub(crate) fn key(addr: &str, port: u32) -> v1::ServiceKey {
    v1::ServiceKey {
        protocol: v1::Protocol::Tcp.into(),
        address: ip(addr),
        port,
        r#match: None,
    }
}

pub(crate) fn service(addr: &str, port: u32, scheduler: &str) -> v1::VirtualService {
    v1::VirtualService {
        key: Some(key(addr, port)),
        scheduler: scheduler.into(),
        ..Default::default()
    }
}

pub(crate) fn a_dest(addr: &str, port: u32) -> v1::Dest {
    v1::Dest {
        address: ip(addr),
        port,
        fwd_mode: v1::FwdMode::FullNat.into(),
        weight: Some(1),
        ..Default::default()
    }
}

pub(crate) fn dest(vip: &str, vport: u32, addr: &str, port: u32) -> v1::DestRequest {
    v1::DestRequest {
        service: Some(key(vip, vport)),
        dest: Some(a_dest(addr, port)),
    }
}

pub(crate) fn laddr(vip: &str, vport: u32, addr: &str, device: &str) -> v1::LaddrRequest {
    v1::LaddrRequest {
        service: Some(key(vip, vport)),
        laddr: Some(v1::Laddr {
            address: ip(addr),
            device: device.into(),
            ..Default::default()
        }),
    }
}

pub(crate) fn address(addr: &str, prefix_len: u32, device: &str) -> v1::Address {
    v1::Address {
        address: ip(addr),
        prefix_len,
        device: device.into(),
        ..Default::default()
    }
}

pub(crate) fn route(addr: &str, prefix_len: u32, device: &str) -> v1::Route {
    v1::Route {
        address: ip(addr),
        prefix_len: Some(prefix_len),
        device: device.into(),
        ..Default::default()
    }
}

pub(crate) fn change(change: Change) -> v1::Change {
    v1::Change {
        change: Some(change),
    }
}

/// What `-S` has of a service, as `-R` sends it.
pub(crate) fn saved(service: &v1::VirtualService) -> Vec<v1::Change> {
    let key = service.key.clone();
    let bare = v1::VirtualService {
        dests: Vec::new(),
        laddrs: Vec::new(),
        counters: None,
        rates: None,
        ..service.clone()
    };
    let dests = service.dests.iter().map(|dest| {
        Change::AddDest(v1::DestRequest {
            service: key.clone(),
            dest: Some(dest.clone()),
        })
    });
    let laddrs = service.laddrs.iter().map(|laddr| {
        Change::AddLaddr(v1::LaddrRequest {
            service: key.clone(),
            laddr: Some(laddr.clone()),
        })
    });
    std::iter::once(Change::AddService(bare))
        .chain(dests)
        .chain(laddrs)
        .map(change)
        .collect()
}

/// A refusal with this code, whose text has these words.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, words: &str) {
    let status = result.expect_err(words);
    assert_eq!(status.code(), code, "{status}");
    assert!(
        status.message().contains(words),
        "'{}' lacks '{words}'",
        status.message()
    );
}
