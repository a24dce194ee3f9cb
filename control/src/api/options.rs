//! Options of services, as the API carries them.

use std::net::IpAddr;

use ipvs_core::{
    Persistence, Protocol, ProxyProtocol, ServiceKey, ServiceOptions, SynProxy, UoaOptions,
};
use packet::proxy::Version;
use packet::uoa::Mode;
use proto::v1;
use tonic::Status;

/// ipvsadm(8): 31 days.
const LONGEST_TIMEOUT_S: u32 = 31 * 24 * 3600;

/// The options of a request.
pub(super) fn options(
    message: &v1::VirtualService,
    key: &ServiceKey,
) -> Result<ServiceOptions, Status> {
    Ok(ServiceOptions {
        conn_timeout_s: timeout(message.conn_timeout_s, "`VirtualService.conn_timeout_s`")?,
        persistence: persistence(message, key)?,
        is_one_packet: message.one_packet,
        expires_quiescent: message.expire_quiescent,
        refuses_adoption: message.no_adopt,
        conn_limit: given(message.conn_limit),
        conn_rate_limit: given(message.conn_rate_limit),
        proxy_protocol: proxy_protocol(message, key)?,
        syn_proxy: syn_proxy(message)?,
        uoa: uoa(message)?,
    })
}

fn syn_proxy(message: &v1::VirtualService) -> Result<Option<SynProxy>, Status> {
    match (message.syn_proxy, message.syn_proxy_above) {
        (false, 0) => Ok(None),
        (false, _) => Err(Status::invalid_argument(
            "a rate above which the SYN proxy is on (`VirtualService.syn_proxy_above`), but no SYN proxy: set `VirtualService.syn_proxy` too",
        )),
        (true, 0) => Ok(Some(SynProxy::Always)),
        (true, per_s) => Ok(Some(SynProxy::Above(per_s))),
    }
}

/// The names that DPVS uses.
const UOA_MODES: [(&str, Mode); 2] = [("ipo", Mode::IpOption), ("opp", Mode::OwnProtocol)];

fn uoa(message: &v1::VirtualService) -> Result<Option<UoaOptions>, Status> {
    /// DPVS's default.
    const DEFAULT_TRAIL: u8 = 3;
    if matches!(message.uoa.as_str(), "" | "disable") {
        return Ok(None);
    }
    let found = UOA_MODES.iter().find(|(name, _)| *name == message.uoa);
    let (_, mode) = found.ok_or_else(|| {
        Status::invalid_argument(format!(
            "unknown way of UOA '{}': it is ipo (an IP option) or opp (a protocol of its own)",
            message.uoa
        ))
    })?;
    let max_trail = match message.uoa_max_trail {
        0 => DEFAULT_TRAIL,
        trail => u8::try_from(trail).map_err(|_| {
            Status::invalid_argument(format!(
                "`VirtualService.uoa_max_trail` {trail} is out of range: 1 to 255"
            ))
        })?,
    };
    Ok(Some(UoaOptions {
        mode: *mode,
        max_trail,
    }))
}

/// The names that DPVS uses, each with its version and whether it is insecure.
const PROXY_PROTOCOLS: [(&str, Version, bool); 4] = [
    ("v1", Version::V1, false),
    ("v2", Version::V2, false),
    ("v1-insecure", Version::V1, true),
    ("v2-insecure", Version::V2, true),
];

fn proxy_protocol(
    message: &v1::VirtualService,
    key: &ServiceKey,
) -> Result<Option<ProxyProtocol>, Status> {
    let name = &message.proxy_protocol;
    let is_in_each_datagram = is_in_each_datagram(message, key)?;
    if matches!(name.as_str(), "" | "disable") {
        return Ok(None);
    }
    let found = PROXY_PROTOCOLS.iter().find(|(known, ..)| known == name);
    let (_, version, is_insecure) = *found.ok_or_else(|| {
        let known = PROXY_PROTOCOLS.map(|(known, ..)| known).join(", ");
        Status::invalid_argument(format!(
            "unknown proxy protocol '{name}': it is one of disable, {known}"
        ))
    })?;
    Ok(Some(ProxyProtocol {
        version,
        is_insecure,
        is_in_each_datagram,
    }))
}

const EACH_DATAGRAM: &str = "each";
const FIRST_DATAGRAM: &str = "first";

fn is_in_each_datagram(message: &v1::VirtualService, key: &ServiceKey) -> Result<bool, Status> {
    let which = message.proxy_protocol_udp.as_str();
    let is_each = match which {
        "" => return Ok(false),
        EACH_DATAGRAM => true,
        FIRST_DATAGRAM => false,
        _ => {
            return Err(Status::invalid_argument(format!(
                "unknown `VirtualService.proxy_protocol_udp` '{which}': it is each or first"
            )));
        }
    };
    if key.protocol != Protocol::Udp {
        return Err(Status::invalid_argument(format!(
            "service {key}: `VirtualService.proxy_protocol_udp` is for UDP services"
        )));
    }
    if matches!(message.proxy_protocol.as_str(), "" | "disable") {
        return Err(Status::invalid_argument(format!(
            "service {key}: `VirtualService.proxy_protocol_udp` says which datagrams carry a PROXY \
             header: give `VirtualService.proxy_protocol=v2` too"
        )));
    }
    Ok(is_each)
}

/// Puts the options into an answer.
pub(super) fn put(options: &ServiceOptions, message: &mut v1::VirtualService) {
    message.conn_timeout_s = options.conn_timeout_s.unwrap_or(0);
    if let Some(persistence) = options.persistence {
        message.persistence_s = persistence.timeout_s;
        message.persistence_prefix_len = persistence.prefix_len.into();
    }
    message.one_packet = options.is_one_packet;
    message.expire_quiescent = options.expires_quiescent;
    message.no_adopt = options.refuses_adoption;
    if let Some(proxy) = options.proxy_protocol {
        put_proxy_protocol(proxy, message);
    }
    if let Some(uoa) = options.uoa {
        let name = UOA_MODES.iter().find(|(_, mode)| *mode == uoa.mode);
        message.uoa = name.map_or("", |(name, _)| name).to_owned();
        message.uoa_max_trail = uoa.max_trail.into();
    }
    message.syn_proxy = options.syn_proxy.is_some();
    if let Some(SynProxy::Above(per_s)) = options.syn_proxy {
        message.syn_proxy_above = per_s;
    }
    message.conn_limit = options.conn_limit.unwrap_or(0);
    message.conn_rate_limit = options.conn_rate_limit.unwrap_or(0);
}

fn put_proxy_protocol(proxy: ProxyProtocol, message: &mut v1::VirtualService) {
    let asked = (proxy.version, proxy.is_insecure);
    let mut names = PROXY_PROTOCOLS.iter();
    let name = names.find(|(_, version, is_insecure)| (*version, *is_insecure) == asked);
    message.proxy_protocol = name.map_or("", |(name, ..)| name).to_owned();
    let is_udp = message.key.as_ref().map(v1::ServiceKey::protocol) == Some(v1::Protocol::Udp);
    let which = match is_udp {
        false => "",
        true if proxy.is_in_each_datagram => EACH_DATAGRAM,
        true => FIRST_DATAGRAM,
    };
    message.proxy_protocol_udp = which.to_owned();
}

fn persistence(
    message: &v1::VirtualService,
    key: &ServiceKey,
) -> Result<Option<Persistence>, Status> {
    let Some(timeout_s) = timeout(message.persistence_s, "`VirtualService.persistence_s`")? else {
        return match message.persistence_prefix_len {
            0 => Ok(None),
            _ => Err(Status::invalid_argument(
                "a netmask (`VirtualService.persistence_prefix_len`) is for persistent services: give `VirtualService.persistence_s` too",
            )),
        };
    };
    let most = match key.addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let prefix_len = match message.persistence_prefix_len {
        0 => most,
        len if len <= most => len,
        len => {
            return Err(Status::invalid_argument(format!(
                "netmask (`VirtualService.persistence_prefix_len`): prefix length {len} is out of range: 1 to {most}"
            )));
        }
    };
    Ok(Some(Persistence {
        timeout_s,
        prefix_len: prefix_len as u8,
    }))
}

fn given(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number > 0)
}

fn timeout(secs: u32, field: &str) -> Result<Option<u32>, Status> {
    if secs > LONGEST_TIMEOUT_S {
        return Err(Status::invalid_argument(format!(
            "{field}: at most {LONGEST_TIMEOUT_S} seconds"
        )));
    }
    Ok(given(secs))
}
