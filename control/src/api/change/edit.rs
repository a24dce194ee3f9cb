//! Edits that name the fields they change: `edit_mask`. The other fields stay as they are.

use proto::v1;
use tonic::Status;

use crate::api::{convert, request_message};
use crate::desired::{DestRequest, ServiceRequest};

/// A field of a message: its name, and how it is taken from one message into another.
type Field<M> = (&'static str, fn(&mut M, &M));

/// Makes the fields of a message that an edit may name.
macro_rules! fields {
    ($($name:ident)*) => {
        &[$((stringify!($name), |to, from| to.$name.clone_from(&from.$name)),)*]
    };
}

const SERVICE: &[Field<v1::VirtualService>] = fields! {
    key scheduler conn_timeout_s hash_target scheduler_flags persistence_s persistence_prefix_len
    one_packet expire_quiescent no_adopt conn_limit conn_rate_limit proxy_protocol
    proxy_protocol_udp syn_proxy syn_proxy_above uoa uoa_max_trail
};

const DEST: &[Field<v1::Dest>] = fields! {
    address port fwd_mode weight upper_threshold lower_threshold tunnel_type tunnel_port tunnel_spread
    tunnel_spread_len drain_s
};

/// What a service becomes. Fields that have no meaning without a field that was changed fall away
/// with it.
pub(in crate::api) fn service(
    before: &ServiceRequest,
    edit: &v1::VirtualService,
) -> Result<ServiceRequest, Status> {
    let mut after = request_message::service(before);
    let scheduler = after.scheduler.clone();
    let is_named = |name: &str| edit.edit_mask.iter().any(|named| named == name);
    overlay(&mut after, edit, &edit.edit_mask, SERVICE)?;
    if after.scheduler != scheduler {
        if !is_named("scheduler_flags") {
            after.scheduler_flags.clear();
        }
        if !is_named("hash_target") {
            after.hash_target.clear();
        }
    }
    if after.persistence_s == 0 && !is_named("persistence_prefix_len") {
        after.persistence_prefix_len = 0;
    }
    if !after.syn_proxy && !is_named("syn_proxy_above") {
        after.syn_proxy_above = 0;
    }
    let has_proxy = !matches!(after.proxy_protocol.as_str(), "" | "disable");
    if !has_proxy && !is_named("proxy_protocol_udp") {
        after.proxy_protocol_udp.clear();
    }
    convert::service(&after)
}

/// What a dest becomes. A drain ends when the dest gets weight again.
pub(in crate::api) fn dest(before: &DestRequest, edit: &v1::Dest) -> Result<DestRequest, Status> {
    let mut after = request_message::dest(before);
    overlay(&mut after, edit, &edit.edit_mask, DEST)?;
    let is_named = |name: &str| edit.edit_mask.iter().any(|named| named == name);
    if after.fwd_mode() != v1::FwdMode::Tunnel && !is_named("tunnel_spread") {
        (after.tunnel_spread, after.tunnel_spread_len) = (None, 0);
    }
    if after.weight != Some(0) && !edit.edit_mask.iter().any(|named| named == "drain_s") {
        after.drain_s = 0;
    }
    convert::dest(Some(&after))
}

/// Takes the fields that are named from one message into another.
fn overlay<M>(to: &mut M, from: &M, mask: &[String], fields: &[Field<M>]) -> Result<(), Status> {
    for name in mask {
        let found = fields.iter().find(|(known, _)| known == name);
        let (_, take) = found.ok_or_else(|| {
            let known: Vec<_> = fields.iter().map(|(known, _)| *known).collect();
            Status::invalid_argument(format!(
                "unknown field '{name}' in edit_mask: expected {}",
                known.join(", ")
            ))
        })?;
        take(to, from);
    }
    Ok(())
}
