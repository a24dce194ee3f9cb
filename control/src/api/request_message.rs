//! Services and dests as messages, with what was asked for and nothing of what they have counted.

use proto::v1;

use super::convert::field;
use super::{convert, options, scheduler};
use crate::desired::{DestRequest, ServiceRequest};

/// A service with its options, and nothing of what it has counted.
pub(super) fn service(request: &ServiceRequest) -> v1::VirtualService {
    let mut message = v1::VirtualService {
        key: Some(convert::service_key_message(&request.key)),
        scheduler: scheduler::name_of(request.scheduler).to_owned(),
        scheduler_flags: scheduler::flags_of(request.scheduler),
        hash_target: scheduler::hash_target_of(request.scheduler).to_owned(),
        ..v1::VirtualService::default()
    };
    options::put(&request.options, &mut message);
    message
}

/// A dest with its options, and nothing of what it has counted.
pub(super) fn dest(request: &DestRequest) -> v1::Dest {
    let (tunnel_type, tunnel_port) = convert::tunnel_message(request.fwdmode);
    let spread = request.tunnel_spread;
    v1::Dest {
        address: Some(field::ip_message(request.addr)),
        port: request.port.into(),
        fwd_mode: convert::fwdmode_message(request.fwdmode).into(),
        tunnel_type: tunnel_type.into(),
        tunnel_port: tunnel_port.into(),
        weight: Some(request.weight.into()),
        upper_threshold: request.upper_threshold,
        lower_threshold: request.lower_threshold,
        tunnel_spread: spread.map(|prefix| field::ip_message(prefix.addr())),
        tunnel_spread_len: spread.map_or(0, |prefix| prefix.prefix_len().into()),
        drain_s: request.drain_s.unwrap_or(0),
        ..v1::Dest::default()
    }
}
