//! The words of the operator for what messages of the daemon name: calls, fields, values of enums.
//!
//! A message may name what the other program does: `dpip` hears of local addresses, which
//! `ipvsadm-rs` adds. So both programs have this one table. Their tests hold it against their
//! tables of options.

use std::net::Ipv6Addr;

use proto::v1::Name;

/// The name in the API, and what an operator types for it. `{}` is the place of the value.
pub const API_WORDS: &[(&str, &str)] = &[
    // Calls of the program itself are single options: nobody has to start another one.
    ("EditService", "-E"),
    ("DelService", "-D"),
    ("EditDest", "-e"),
    ("AddLaddr", "--add-laddr"),
    // Commands
    ("ListServices", "ipvsadm-rs -ln"),
    ("DelDest", "ipvsadm-rs -d"),
    ("DelLaddr", "ipvsadm-rs --del-laddr"),
    ("VirtualService.laddrs", "ipvsadm-rs -G"),
    ("ListAccess", "ipvsadm-rs"),
    ("AddAddress", "dpip addr add"),
    ("DelAddress", "dpip addr del"),
    ("ListAddresses", "dpip addr show"),
    ("SetRoute", "dpip route set"),
    ("ListRoutes", "dpip route show"),
    ("ListNeighbours", "dpip neigh show"),
    ("ListLinks", "dpip link show"),
    ("ListWorkers", "dpip -s link show"),
    // Options of ipvsadm-rs
    ("ACCESS_LIST_DENY", "-B"),
    ("ACCESS_LIST_ALLOW", "-W"),
    ("PROTOCOL_TCP", "-t"),
    ("PROTOCOL_UDP", "-u"),
    ("FWD_MODE_FULL_NAT", "-b"),
    ("FWD_MODE_NAT", "-m"),
    ("FWD_MODE_DR", "-g"),
    ("FWD_MODE_TUNNEL", "-i"),
    ("FWD_MODE_SNAT", "-J"),
    ("ServiceKey.match", "-H {}"),
    ("VirtualService.scheduler", "-s {}"),
    ("VirtualService.scheduler_flags", "--sched-flags {}"),
    ("VirtualService.hash_target", "--hash-target {}"),
    ("VirtualService.conn_timeout_s", "--conn-timeout {}"),
    ("VirtualService.persistence_s", "-p {}"),
    ("VirtualService.persistence_prefix_len", "-M {}"),
    ("VirtualService.one_packet", "--ops"),
    ("VirtualService.syn_proxy", "-j {}"),
    ("VirtualService.syn_proxy_above", "-j {}"),
    ("VirtualService.proxy_protocol", "--proxy-protocol {}"),
    (
        "VirtualService.proxy_protocol_udp",
        "--proxy-protocol-udp {}",
    ),
    ("VirtualService.uoa", "--uoa {}"),
    ("VirtualService.uoa_max_trail", "--uoa-max-trail {}"),
    ("Dest.address", "-r {}"),
    ("Dest.port", ":{}"),
    ("Dest.weight", "-w {}"),
    ("Dest.lower_threshold", "-y {}"),
    ("Dest.drain_s", "--drain {}"),
    ("Dest.tunnel_port", "--tun-port {}"),
    ("Dest.tunnel_spread", "--tun-spread {}"),
    ("Laddr.address", "-z {}"),
    ("Laddr.device", "-F {}"),
    // Words of dpip
    ("Address.address", "{}"),
    ("Address.prefix_len", "/{}"),
    ("Address.device", "dev {}"),
    ("Address.sapool", "sapool"),
    ("Route.device", "dev {}"),
    ("Route.mtu", "mtu {}"),
    ("Route.src", "src {}"),
    ("SCOPE_KNI_HOST", "scope kni_host"),
    ("ListWorkersRequest.name", "{}"),
];

/// What an operator types for these names, `None` if one of them has no word here.
pub(crate) fn typed(names: &[Name]) -> Option<String> {
    let mut line = String::new();
    for name in names {
        let word = word(name)?;
        // The port follows its address, the length of a prefix its address.
        let is_glued = word.starts_with([':', '/']);
        if !line.is_empty() && !is_glued {
            line.push(' ');
        }
        line.push_str(&word);
    }
    let is_command = line.starts_with("dpip ") || line.starts_with("ipvsadm-rs ");
    Some(if is_command {
        format!("`{line}`")
    } else {
        line
    })
}

fn word(name: &Name) -> Option<String> {
    let (_, word) = API_WORDS.iter().find(|(known, _)| *known == name.name)?;
    let value = name.value.as_deref().unwrap_or_default();
    // A port follows, or may: RFC 3986, 3.2.2.
    let value = match value.parse::<Ipv6Addr>() {
        Ok(addr) if name.name == "Dest.address" => format!("[{addr}]"),
        _ => value.to_owned(),
    };
    Some(word.replace("{}", &value).trim_end().to_owned())
}
